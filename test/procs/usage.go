//go:build linux

package procs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime returns user and system time that the process and all its threads, past and present, have taken. The kernel's
// process clock is read, which counts nanoseconds, unlike the ticks of /proc/<pid>/stat.
func CPUTime(pid int) (time.Duration, error) {
	// The clock of another process: the complement of its id, and CPUCLOCK_SCHED (2) in the low bits.
	clock := int32(^pid<<3 | 2)
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("reading the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// Usage is what a process has used so far.
type Usage struct {
	CPU         time.Duration
	Reads       int64 // read system calls (read and readv, not recvfrom)
	Writes      int64 // write system calls (write and writev, not sendmsg)
	Voluntary   int64 // voluntary context switches of the threads that exist now
	Involuntary int64
	Threads     int
	RSS         int64 // resident bytes now
	PeakRSS     int64 // most resident bytes ever
}

// Sub returns the use since an earlier reading; Threads, RSS and PeakRSS are those of u.
func (u Usage) Sub(earlier Usage) Usage {
	u.CPU -= earlier.CPU
	u.Reads -= earlier.Reads
	u.Writes -= earlier.Writes
	u.Voluntary -= earlier.Voluntary
	u.Involuntary -= earlier.Involuntary
	return u
}

// Add returns the sum over two processes.
func (u Usage) Add(v Usage) Usage {
	return Usage{
		CPU: u.CPU + v.CPU, Reads: u.Reads + v.Reads, Writes: u.Writes + v.Writes,
		Voluntary: u.Voluntary + v.Voluntary, Involuntary: u.Involuntary + v.Involuntary,
		Threads: u.Threads + v.Threads, RSS: u.RSS + v.RSS, PeakRSS: u.PeakRSS + v.PeakRSS,
	}
}

// ReadUsage reads the use of a running process.
func ReadUsage(pid int) (Usage, error) {
	var u Usage
	var err error
	if u.CPU, err = CPUTime(pid); err != nil {
		return u, err
	}
	root := filepath.Join("/proc", strconv.Itoa(pid))
	status, err := os.ReadFile(filepath.Join(root, "status"))
	if err != nil {
		return u, err
	}
	u.RSS = field(status, "VmRSS:") << 10
	u.PeakRSS = field(status, "VmHWM:") << 10
	if io, err := os.ReadFile(filepath.Join(root, "io")); err == nil { // other users' processes don't show it
		u.Reads = field(io, "syscr:")
		u.Writes = field(io, "syscw:")
	}
	tasks, err := filepath.Glob(filepath.Join(root, "task", "*", "status"))
	if err != nil {
		return u, err
	}
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err != nil {
			continue // the thread ended
		}
		u.Threads++
		u.Voluntary += field(b, "voluntary_ctxt_switches:")
		u.Involuntary += field(b, "nonvoluntary_ctxt_switches:")
	}
	return u, nil
}

// field returns the number after a name at the start of a line, or 0.
func field(b []byte, name string) int64 {
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			f := bytes.Fields(rest)
			if len(f) == 0 {
				return 0
			}
			n, _ := strconv.ParseInt(string(f[0]), 10, 64)
			return n
		}
	}
	return 0
}
