package daemon

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strconv"
	"syscall"
)

// dropCode unmaps the pages of the program file: most of them were used for the
// start only. What is still needed comes back from the page cache, sixteen pages a
// fault; what is not can be taken by others when memory is short, which mapped
// pages are the last to be. Nothing is lost: only mappings that nobody has ever
// written to are dropped, those of a position-independent build that the loader
// relocated are not among them.
func dropCode() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	for _, m := range cleanMappings(f, exe) {
		// An error means that the pages stay, which is what was before.
		_, _, _ = syscall.RawSyscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// cleanMappings reads /proc/self/smaps and returns the read-only mappings of a file
// of which no page has become the process's own.
func cleanMappings(smaps io.Reader, file string) []mapping {
	var out []mapping
	var at mapping
	ours, clean := false, false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		line := lines.Bytes()
		if m, perms, path, ok := mappingLine(line); ok {
			at, clean = m, false
			ours = path == file && len(perms) == 4 && perms[0] == 'r' && perms[1] == '-' && perms[3] == 'p'
			continue
		}
		// A page that has become the process's own is anonymous, or swapped out: that line comes later.
		if value, ok := bytes.CutPrefix(line, []byte("Anonymous:")); ok {
			clean = isZero(value)
		}
		if value, ok := bytes.CutPrefix(line, []byte("Swap:")); ok && ours && clean && isZero(value) {
			out = append(out, at)
		}
	}
	return out
}

// isZero tells whether "0 kB" is what stands there.
func isZero(value []byte) bool {
	fields := bytes.Fields(value)
	return len(fields) > 0 && string(fields[0]) == "0"
}

// mappingLine takes apart "from-to perms offset device inode path".
func mappingLine(line []byte) (m mapping, perms, path string, ok bool) {
	fields := bytes.Fields(line)
	if len(fields) < 6 {
		return mapping{}, "", "", false
	}
	from, to, ok := bytes.Cut(fields[0], []byte("-"))
	if !ok {
		return mapping{}, "", "", false
	}
	a, err1 := strconv.ParseUint(string(from), 16, strconv.IntSize)
	b, err2 := strconv.ParseUint(string(to), 16, strconv.IntSize)
	if err1 != nil || err2 != nil || a >= b {
		return mapping{}, "", "", false
	}
	// The path is the rest of the line: it may hold blanks.
	return mapping{uintptr(a), uintptr(b)}, string(fields[1]), string(line[bytes.Index(line, fields[5]):]), true
}
