package host

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
)

// machine is one on which nothing is to be said, with some files different.
func machine(files map[string]string) Machine {
	all := map[string]string{
		"proc/self/limits": "Limit                     Soft Limit           Hard Limit           Units     \n" +
			"Max core file size        0                    unlimited            bytes     \n" +
			"Max open files            1024                 800000               files     \n",
		"proc/self/cgroup":                                            "0::/user.slice\n",
		"proc/meminfo":                                                "MemTotal:       16384000 kB\nMemFree: 1 kB\n",
		"proc/swaps":                                                  "Filename\tType\tSize\tUsed\tPriority\n",
		"proc/sys/fs/nr_open":                                         "1048576\n",
		"proc/sys/fs/file-max":                                        "9223372036854775807\n",
		"proc/sys/net/core/somaxconn":                                 "4096\n",
		"proc/sys/net/ipv4/tcp_max_syn_backlog":                       "4096\n",
		"proc/sys/net/ipv4/tcp_syncookies":                            "1\n",
		"proc/sys/net/ipv4/ip_local_port_range":                       "32768\t60999\n",
		"proc/sys/net/ipv4/ip_local_reserved_ports":                   "\n",
		"proc/sys/net/ipv4/tcp_rmem":                                  "4096\t131072\t33554432\n",
		"proc/sys/net/ipv4/tcp_wmem":                                  "4096\t16384\t33554432\n",
		"proc/sys/net/ipv4/tcp_slow_start_after_idle":                 "0\n",
		"proc/sys/vm/overcommit_memory":                               "0\n",
		"proc/sys/vm/swappiness":                                      "60\n",
		"sys/kernel/mm/transparent_hugepage/enabled":                  "always [madvise] never\n",
		"sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none": "511\n",
	}
	maps.Copy(all, files)
	fsys := fstest.MapFS{}
	for name, text := range all {
		if text != "-" {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return Machine{
		OS: "linux", CPUs: 8, Files: fsys, Unit: "hubd.service",
		Env:   func(string) string { return "" },
		Clock: func() (Clock, error) { return Clock{Synced: true, Error: 3 * time.Millisecond}, nil },
		Disk: func(string) (Disk, error) {
			return Disk{Kind: "ext4", Size: 100 << 30, Free: 50 << 30, Files: 1000, Left: 900}, nil
		},
		Writable: func(string) error { return nil },
	}
}

// load reads settings.
func load(t *testing.T, d config.Daemon, set ...string) *config.Config {
	t.Helper()
	values := map[string]string{}
	for _, s := range set {
		k, v, _ := strings.Cut(s, "=")
		values[k] = v
	}
	cfg, _, err := config.Load(config.LoadOptions{Daemon: d, Set: values})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// line is a finding as a test compares it.
func line(f Finding) string {
	s := fmt.Sprintf("%s %s: %s", f.State, f.Name, f.Found)
	if f.Sysctl != "" {
		s += " -> " + f.Sysctl
	}
	return s
}

// findings are those that are not fine.
func findings(list []Finding) (out []string) {
	for _, f := range list {
		if f.State != OK {
			out = append(out, line(f))
		}
	}
	return out
}

const goodUnit = "[Service]\nType=notify\nLimitNOFILE=800000\nKillSignal=SIGUSR2\nTimeoutStopSec=150\nWatchdogSec=30\nRestart=on-failure\n" +
	"ProtectSystem=strict\nStateDirectory=hubd\nLogsDirectory=hubd\n"

func TestLook(t *testing.T) {
	unit := func(more string) map[string]string {
		return map[string]string{"usr/lib/systemd/system/hubd.service": goodUnit + more}
	}
	with := func(files map[string]string, more ...string) map[string]string {
		for i := 0; i < len(more); i += 2 {
			files[more[i]] = more[i+1]
		}
		return files
	}
	one := func(name, text string) map[string]string { return map[string]string{name: text} }
	const thp = "sys/kernel/mm/transparent_hugepage/"
	for _, c := range []struct {
		name  string
		files map[string]string
		set   []string
		want  []string
	}{
		{name: "nothing to say"},
		{name: "a good unit", files: unit("")},
		{"too few files", one("proc/self/limits", "Max open files  1024  4096  files\n"), nil, []string{"error open files: 4096"}},
		{"few files", one("proc/self/limits", "Max open files  1024  100000  files\n"), nil, []string{"warn open files: 100000"}},
		{"few files for few clients", one("proc/self/limits", "Max open files  1024  12000  files\n"), []string{"clients.limits.max_connections=1000"}, nil},
		{"no limits to be seen", one("proc/self/limits", "-"), nil, []string{"unseen open files: not to be seen here"}},
		{"a unit without a limit", one("etc/systemd/system/hubd.service", strings.Replace(goodUnit, "LimitNOFILE=800000\n", "", 1)), nil, nil},
		{"a unit's limit", unit("LimitNOFILE=1024:2048\n"), nil, []string{"error open files: 2048 (hubd.service)"}},
		{"a drop-in", with(unit(""), "etc/systemd/system/hubd.service.d/10.conf", "[Service]\nLimitNOFILE=100\n"), nil, []string{"error open files: 100 (hubd.service)"}},
		{"an empty value forgets", unit("LimitNOFILE=5\nLimitNOFILE=\n"), nil, nil},
		{"in the unit what is counts", with(unit("LimitNOFILE=5\n"), "proc/self/cgroup", "0::/system.slice/hubd.service\n"), nil, nil},
		{"kernel tables", map[string]string{"proc/sys/fs/nr_open": "65536\n", "proc/sys/fs/file-max": "200000\n"}, nil,
			[]string{"warn fs.nr_open: 65536 -> fs.nr_open = 141072", "warn fs.file-max: 200000 -> fs.file-max = 282144"}},
		{"a unit above the kernel's", unit("LimitNOFILE=2000000\n"), nil, []string{"warn fs.nr_open: 1048576 -> fs.nr_open = 2000000"}},

		{"backlog", one("proc/sys/net/core/somaxconn", "128\n"), nil, []string{"warn net.core.somaxconn: 128 -> net.core.somaxconn = 4096"}},
		{"backlog of a large fleet", nil, []string{"clients.limits.max_connections=390000"},
			[]string{"warn net.core.somaxconn: 4096 -> net.core.somaxconn = 32768"}},
		{"backlog with cookies", one("proc/sys/net/ipv4/tcp_max_syn_backlog", "128\n"), nil, nil},
		{"backlog without", map[string]string{"proc/sys/net/ipv4/tcp_max_syn_backlog": "128\n", "proc/sys/net/ipv4/tcp_syncookies": "0\n"}, nil,
			[]string{"warn net.ipv4.tcp_max_syn_backlog: 128 -> net.ipv4.tcp_max_syn_backlog = 4096"}},
		{"a port of the range", nil, []string{"clients.listen=127.0.0.1:40000"},
			[]string{"warn net.ipv4.ip_local_reserved_ports: clients.listen 40000 in the range of ports for connections -> net.ipv4.ip_local_reserved_ports = 40000"}},
		{"more of them", one("proc/sys/net/ipv4/ip_local_reserved_ports", "39000-39010\n"), []string{"clients.listen=127.0.0.1:40000", "monitor.listen=127.0.0.1:39002"},
			[]string{"warn net.ipv4.ip_local_reserved_ports: clients.listen 40000 in the range of ports for connections -> net.ipv4.ip_local_reserved_ports = 39000-39010,40000"}},
		{"firewall", one("proc/sys/net/netfilter/nf_conntrack_max", "65536\n"), nil, []string{"warn net.netfilter.nf_conntrack_max: 65536 -> net.netfilter.nf_conntrack_max = 131072"}},

		{"little memory", one("proc/meminfo", "MemTotal: 262144 kB\n"), nil, []string{"warn memory: 256 MiB of the machine, no limit"}},
		{"little memory for few clients", one("proc/meminfo", "MemTotal: 262144 kB\n"), []string{"clients.limits.max_connections=1000"}, nil},
		{"limited memory", with(one("proc/self/cgroup", "0::/a/b\n"), "sys/fs/cgroup/a/memory.max", "2147483648\n", "sys/fs/cgroup/a/b/memory.max", "max\n"), nil,
			[]string{"warn GOMEMLIMIT: not set"}},
		{"limited memory of old", with(one("proc/self/cgroup", "5:cpu,memory:/a\n"), "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2147483648\n"), nil,
			[]string{"warn GOMEMLIMIT: not set"}},
		{"no limit of old", with(one("proc/self/cgroup", "5:memory:/a\n"), "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"), nil, nil},
		{"a unit's memory", unit("MemoryMax=1G\nEnvironment=GOMEMLIMIT=800MiB\n"), nil, nil},
		{"a part of it", unit("MemoryMax=50%\n"), nil, []string{"warn GOMEMLIMIT: not set (hubd.service)"}},
		{"too near to the limit", unit("MemoryMax=1G\nEnvironment=\"GOMEMLIMIT=1GiB\"\n"), nil, []string{"error GOMEMLIMIT: 1GiB (hubd.service)"}},
		{"no size", unit("Environment=GOMEMLIMIT=1G\n"), nil, []string{"error GOMEMLIMIT: 1G (hubd.service)"}},
		{"from the file", with(unit("MemoryMax=1G\nEnvironmentFile=-/etc/default/hubd\n"), "etc/default/hubd", "# x\nGOMEMLIMIT=700MiB\n"), nil, nil},
		{"overcommit", one("proc/sys/vm/overcommit_memory", "2\n"), nil, []string{"warn vm.overcommit_memory: 2 -> vm.overcommit_memory = 0"}},
		{"swap", one("proc/swaps", "Filename\n/dev/sda2 partition 1 0 -2\n"), nil, []string{"warn swap: there is some, vm.swappiness 60 -> vm.swappiness = 10"}},
		{"swap, but not for us", with(unit("MemorySwapMax=0\n"), "proc/swaps", "Filename\n/dev/sda2 partition 1 0 -2\n"), nil, nil},
		{"huge pages", one(thp+"enabled", "[always] madvise never\n"), nil, []string{"warn transparent huge pages: always, max_ptes_none 511"}},
		{"harmless huge pages", with(one(thp+"enabled", "[always] madvise never\n"), thp+"khugepaged/max_ptes_none", "0\n"), nil, nil},

		{"half a processor", with(one("proc/self/cgroup", "0::/a\n"), "sys/fs/cgroup/a/cpu.max", "50000 100000\n"), nil, []string{"warn processors: 0.50 of 8 by quota"}},
		{"whole processors", with(one("proc/self/cgroup", "0::/a\n"), "sys/fs/cgroup/a/cpu.max", "200000 100000\n", "sys/fs/cgroup/cpu.max", "max 100000\n"), nil, nil},
		{"a unit's processors", unit("CPUQuota=150%\n"), nil, []string{"warn processors: 1.50 of 8 by quota (hubd.service)"}},
		{"more than there are", unit("CPUQuota=200%\nEnvironment=GOMAXPROCS=8\n"), nil, []string{"warn processors: 2.00 of 8 by quota (hubd.service), GOMAXPROCS 8"}},
		{"cores", unit("LimitCORE=0\nEnvironment=GOTRACEBACK=crash\n"), nil, []string{"warn core files: GOTRACEBACK=crash, but the limit is 0"}},

		{"killed in the drain", unit("TimeoutStopSec=1min 30s\n"), nil, []string{"error TimeoutStopSec=: 1min 30s (hubd.service)"}},
		{"a shorter drain", unit("TimeoutStopSec=1min 30s\n"), []string{"lifecycle.drain=60s"}, nil},
		{"stops at once", unit("TimeoutStopSec=5\nKillSignal=SIGTERM\n"), nil, nil},
		{"drains on SIGTERM", unit("TimeoutStopSec=5\nKillSignal=SIGTERM\n"), []string{"lifecycle.drain_on_term=true"}, []string{"error TimeoutStopSec=: 5 (hubd.service)"}},
		{"waits for ever", unit("TimeoutStopSec=infinity\n"), nil, nil},
		{"a poor unit", one("lib/systemd/system/hubd.service", "[Unit]\nRestart=always\n[Service]\nExecStart=/usr/bin/hubd\n"), nil,
			[]string{"warn Type=: simple (hubd.service)", "warn WatchdogSec=: 0 (hubd.service)", "warn Restart=: no (hubd.service)"}},
		{"an impatient watchdog", unit("WatchdogSec=500ms\n"), nil, []string{"warn WatchdogSec=: 500ms (hubd.service)"}},

		{"directories", nil, []string{"log.file=/var/log/hubd/hubd.log", "lifecycle.pid_file=/run/hubd.pid"}, nil},
		{"directories of a unit", unit(""), []string{"log.file=/var/log/hubd/hubd.log", "lifecycle.pid_file=/run/hubd.pid"},
			[]string{"error lifecycle.pid_file: /run is read-only in hubd.service"}},
		{"opened", unit("ReadWritePaths=-/run\n"), []string{"lifecycle.pid_file=/run/hubd.pid"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := findings(Look(machine(c.files), load(t, config.Hubd, c.set...)))
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.want))
			if !slices.EqualFunc(got, want, func(g, w string) bool { return g == w || strings.HasPrefix(g, w+":") }) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// Links between regions are what buffers and slow start matter to.
func TestGwd(t *testing.T) {
	cfg := &config.Config{Daemon: config.Gwd, LameDuck: config.LameDuck{Duration: time.Minute}, Gateway: &config.Gateway{Remotes: make([]config.RemoteGateway, 3)}}
	m := machine(map[string]string{
		"proc/sys/net/ipv4/tcp_wmem":                  "4096\t16384\t4194304\n",
		"proc/sys/net/ipv4/tcp_slow_start_after_idle": "1\n",
		"proc/self/limits":                            "Max open files 1024 9000 files\n",
	})
	m.Unit = "gwd.service"
	want := []string{
		"warn open files: 9000",
		"warn net.ipv4.tcp_wmem: at most 4 MiB -> net.ipv4.tcp_wmem = 4096 16384 16777216",
		"warn net.ipv4.tcp_slow_start_after_idle: 1 -> net.ipv4.tcp_slow_start_after_idle = 0",
	}
	if got := findings(Look(m, cfg)); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestClockDiskAndPermissions(t *testing.T) {
	cfg := load(t, config.Hubd, "log.file=/srv/hubd.log")
	cfg.Operator = &config.OperatorMode{Resolver: config.Resolver{Kind: config.ResolverFull, Dir: "/srv/jwt"}}
	for _, c := range []struct {
		change func(*Machine)
		want   []string
	}{
		{func(*Machine) {}, nil},
		{func(m *Machine) { m.Clock = func() (Clock, error) { return Clock{}, nil } }, []string{"warn clock: nobody sets it right"}},
		{func(m *Machine) { m.Clock = func() (Clock, error) { return Clock{}, errors.New("no") } }, []string{"unseen clock: no"}},
		{func(m *Machine) { m.Clock = nil }, []string{"unseen clock: not to be seen on this system"}},
		{func(m *Machine) {
			m.Writable = func(d string) error {
				if d == "/srv/jwt" {
					return errors.New("user 1 may not write there")
				}
				return nil
			}
		}, []string{"error auth.resolver: /srv/jwt: user 1 may not write there"}},
		{func(m *Machine) {
			m.Disk = func(string) (Disk, error) { return Disk{Kind: "nfs", Size: 100 << 30, Free: 90 << 30}, nil }
		},
			[]string{"warn auth.resolver, disk: 90 GiB of 100 GiB free, nfs"}},
		{func(m *Machine) {
			m.Disk = func(string) (Disk, error) { return Disk{Kind: "xfs", Size: 10 << 30, Free: 1 << 30}, nil }
		},
			[]string{"warn log.file, disk: 1024 MiB of 10 GiB free, xfs", "warn auth.resolver, disk: 1024 MiB of 10 GiB free, xfs"}},
		{func(m *Machine) {
			m.Disk = func(string) (Disk, error) {
				return Disk{Kind: "xfs", Size: 10 << 30, Free: 9 << 30, Files: 1000, Left: 0}, nil
			}
		}, []string{"error log.file, disk: 9216 MiB of 10 GiB free, xfs", "error auth.resolver, disk: 9216 MiB of 10 GiB free, xfs"}},
	} {
		m := machine(nil)
		c.change(&m)
		if got := findings(Look(m, cfg)); !slices.Equal(got, c.want) {
			t.Errorf("found %q, want %q", got, c.want)
		}
	}
}

// Another process's limits are those that it has now, and its environment is in /proc.
func TestOtherProcess(t *testing.T) {
	m := machine(map[string]string{
		"proc/42/limits":                      "Max open files 1024 800000 files\n",
		"proc/42/cgroup":                      "0::/a\n",
		"proc/42/environ":                     "A=B\x00GOMEMLIMIT=800MiB\x00",
		"sys/fs/cgroup/a/memory.max":          "1073741824\n",
		"usr/lib/systemd/system/hubd.service": goodUnit + "LimitNOFILE=5\n",
	})
	m.Process = "42"
	if got, want := findings(Look(m, load(t, config.Hubd))), []string{"error open files: 1024 (process 42)"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// Elsewhere it is said what cannot be seen.
func TestOtherSystems(t *testing.T) {
	m := Machine{OS: "darwin", OpenFiles: func() (uint64, error) { return 10240, nil }}
	got := findings(Look(m, load(t, config.Hubd)))
	want := []string{"error open files: 10240", "unseen clock: not to be seen on this system", "unseen kernel, memory, service: not to be seen on darwin"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	m = Machine{OS: "windows"}
	if got := findings(Look(m, load(t, config.Leafd))); len(got) != 3 || Count(Look(m, load(t, config.Leafd)), Bad) != 0 {
		t.Errorf("found %q", got)
	}
}

// This machine can be looked at, whatever it is.
func TestThisMachine(t *testing.T) {
	list := Look(This("hubd.service"), load(t, config.Hubd))
	if len(list) < 3 {
		t.Errorf("found %v", list)
	}
	for _, f := range list {
		if f.Name == "" || f.Found == "" || (f.State == Bad || f.State == Warn) && (f.Why == "" || len(f.Change) == 0 && f.Sysctl == "") {
			t.Errorf("%+v says too little", f)
		}
	}
}

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{"150": 150 * time.Second, "2min 30s": 150 * time.Second, "1.5h": 90 * time.Minute, "500ms": time.Second / 2, "1d": 24 * time.Hour} {
		if got, ok := span(text); !ok || got != want {
			t.Errorf("%q is %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "x", "5 parsecs", "-1"} {
		if got, ok := span(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]uint64{"1024": 1024, "1K": 1024, "512M": 512 << 20, "1.5G": 3 << 29, "50%": 500} {
		if got, ok := size(text, 1000); !ok || got != want {
			t.Errorf("%q is %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "infinity", "x", "M"} {
		if got, ok := size(text, 1000); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func FuzzUnit(f *testing.F) {
	f.Add(goodUnit, "2min 30s", "80%")
	f.Add("[Service]\nA=b \\\n c\n;x\n", "1us", "5T")
	f.Fuzz(func(t *testing.T, text, time, bytes string) {
		u := unit{values: map[string][]string{}}
		u.parse(text)
		for k, v := range u.values {
			if len(v) == 0 || strings.Contains(k, "\n") {
				t.Errorf("%q: %q", k, v)
			}
		}
		span(time)
		size(bytes, 1<<30)
	})
}
