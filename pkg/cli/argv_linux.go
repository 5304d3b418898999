package cli

import (
	"strings"
	"unsafe"
)

// wipe returns a copy of a process's arguments, and overwrites the arguments with x
// where redacted differs from them: what other users of the machine see in the list
// of processes is the memory that the arguments stand in. They can be seen until
// then.
func wipe(argv, redacted []string) []string {
	own := make([]string, len(argv))
	for i, arg := range argv {
		own[i] = strings.Clone(arg)
	}
	for i, arg := range argv {
		if arg == redacted[i] {
			continue
		}
		same := 0
		for same < len(arg) && same < len(redacted[i]) && arg[same] == redacted[i][same] {
			same++
		}
		// The runtime's strings of arguments are the kernel's memory, which is the
		// process's to write.
		b := unsafe.Slice(unsafe.StringData(arg), len(arg))
		for j := same; j < len(b); j++ {
			b[j] = 'x'
		}
	}
	return own
}
