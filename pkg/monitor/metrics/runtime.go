package metrics

import (
	"os"
	"runtime/metrics"

	"github.com/banyanmq/banyan/pkg/monitor"
)

// runtimeFamily is one of the usual metrics of a process, by the name that all use.
type runtimeFamily struct {
	name, help string
	counter    bool
	value      func() (float64, bool)
}

func runtimeFamilies() []runtimeFamily {
	return []runtimeFamily{
		{"process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", true, func() (float64, bool) { return monitor.ProcessorTime().Seconds(), true }},
		{"process_resident_memory_bytes", "Resident memory size in bytes.", false, func() (float64, bool) { return float64(monitor.ResidentMemory()), true }},
		{"process_open_fds", "Number of open file descriptors.", false, openFiles},
		{"process_max_fds", "Maximum number of open file descriptors.", false, maxFiles},
		{"go_goroutines", "Number of goroutines that currently exist.", false, sampled("/sched/goroutines:goroutines")},
		{"go_memstats_heap_alloc_bytes", "Number of heap bytes allocated and currently in use.", false, sampled("/memory/classes/heap/objects:bytes")},
		{"go_memstats_alloc_bytes_total", "Total number of bytes allocated in heap until now, even if released already.", true, sampled("/gc/heap/allocs:bytes")},
		{"go_gc_cycles_total_gc_cycles_total", "Count of all completed GC cycles.", true, sampled("/gc/cycles/total:gc-cycles")},
	}
}

func sampled(name string) func() (float64, bool) {
	return func() (float64, bool) {
		s := []metrics.Sample{{Name: name}}
		metrics.Read(s)
		if s[0].Value.Kind() != metrics.KindUint64 {
			return 0, false
		}
		return float64(s[0].Value.Uint64()), true
	}
}

// openFiles counts what /proc lists, without the directory that is open for it.
func openFiles() (float64, bool) {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, false
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return float64(len(names) - 1), err == nil && len(names) > 0
}
