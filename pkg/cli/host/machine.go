package host

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// ErrUnseen is what a function of [Machine] returns for what the system does not show.
var ErrUnseen = errors.New("not to be seen on this system")

// Machine is what Look reads.
type Machine struct {
	// OS as runtime.GOOS; CPUs as runtime.NumCPU.
	OS   string
	CPUs int
	// Files are those below "/": proc, sys and etc.
	Files fs.FS
	// Process is the id of the process whose limits count; "self" is this one.
	Process string
	// Unit is the service that starts the daemon, "hubd.service".
	Unit string
	// Env is this process's environment. That of another is read from /proc.
	Env func(name string) string
	// OpenFiles is this process's limit; used where there is no /proc.
	OpenFiles func() (uint64, error)
	Clock     func() (Clock, error)
	// Disk is about the file system that holds a directory.
	Disk func(dir string) (Disk, error)
	// Writable returns why the user of this process cannot make files in a directory.
	Writable func(dir string) error
}

// Clock is what the kernel knows of its clock.
type Clock struct {
	Synced bool
	// Error is the most that the clock is believed to be wrong.
	Error time.Duration
}

// Disk is a file system.
type Disk struct {
	Kind        string // ext4, tmpfs, nfs, ...
	Size, Free  uint64 // bytes; Free is what is left for ordinary users
	Files, Left uint64 // inodes; 0 of 0 where there is no number
}

// read returns a file's content without the last line's end; "" and false if it cannot be read.
func (m *Machine) read(name string) (string, bool) {
	if m.Files == nil {
		return "", false
	}
	b, err := fs.ReadFile(m.Files, strings.TrimPrefix(name, "/"))
	return strings.TrimRight(string(b), "\n"), err == nil
}

// sysctl returns a kernel setting by its dotted name.
func (m *Machine) sysctl(name string) (string, bool) {
	return m.read("proc/sys/" + strings.ReplaceAll(name, ".", "/"))
}

func (m *Machine) number(name string) (int64, bool) {
	text, ok := m.sysctl(name)
	n, err := strconv.ParseInt(text, 10, 64)
	return n, ok && err == nil
}

func (m *Machine) proc(name string) (string, bool) { return m.read(path.Join("proc", m.Process, name)) }

// limit returns a soft and hard limit of the process as /proc names it; ^0 is none.
func (m *Machine) limit(name string) (soft, hard uint64, ok bool) {
	text, _ := m.proc("limits")
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, name)
		if !found {
			continue
		}
		f := strings.Fields(rest)
		if len(f) < 2 {
			return 0, 0, false
		}
		return limitValue(f[0]), limitValue(f[1]), true
	}
	return 0, 0, false
}

func limitValue(word string) uint64 {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		return ^uint64(0) // "unlimited"
	}
	return n
}

// env returns a variable of the process that is looked at.
func (m *Machine) env(name string) string {
	if m.Process == "self" || m.Process == "" {
		if m.Env == nil {
			return ""
		}
		return m.Env(name)
	}
	text, _ := m.proc("environ")
	for _, line := range strings.Split(text, "\x00") {
		if value, found := strings.CutPrefix(line, name+"="); found {
			return value
		}
	}
	return ""
}

// memTotal is the machine's memory in bytes, 0 if it is not known.
func (m *Machine) memTotal() uint64 {
	text, _ := m.read("proc/meminfo")
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "MemTotal:" {
			n, _ := strconv.ParseUint(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// groups returns the paths of the process's control groups below /sys/fs/cgroup, by controller;
// "" is the unified hierarchy.
func (m *Machine) groups() map[string]string {
	out := map[string]string{}
	text, _ := m.proc("cgroup")
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			out[c] = f[2]
		}
	}
	return out
}

// upwards calls f with the content of a control group's file, in the process's group and all above it.
func (m *Machine) upwards(controller, name string, f func(text string)) {
	groups := m.groups()
	base, group := "sys/fs/cgroup", ""
	if g, ok := groups[controller]; ok && controller != "" {
		base, group = "sys/fs/cgroup/"+controller, g
	} else if group, ok = groups[""]; !ok {
		return
	}
	for {
		if text, ok := m.read(path.Join(base, group, name)); ok {
			f(text)
		}
		if group == "/" || group == "" || group == "." {
			return
		}
		group = path.Dir(group)
	}
}
