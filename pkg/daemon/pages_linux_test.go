package daemon

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

const smaps = `00400000-00d1e000 r-xp 00000000 fe:00 1234 /usr/bin/hubd
Size:               9336 kB
Rss:                5000 kB
Anonymous:             0 kB
Swap:                  0 kB
SwapPss:               0 kB
VmFlags: rd ex mr mw me
00d1e000-01a00000 r--p 0091e000 fe:00 1234 /usr/bin/hubd
Size:              13000 kB
Anonymous:             4 kB
Swap:                  0 kB
01a00000-01b00000 rw-p 01600000 fe:00 1234 /usr/bin/hubd
Anonymous:             0 kB
Swap:                  0 kB
01b00000-01c00000 r--s 01600000 fe:00 1234 /usr/bin/hubd
Anonymous:             0 kB
Swap:                  0 kB
01c00000-01d00000 r--p 01700000 fe:00 1234 /usr/bin/hubd
Anonymous:             0 kB
Swap:                  4 kB
7f0000000000-7f0000100000 r--p 00000000 fe:00 99 /usr/bin/hubd of somebody
Anonymous:             0 kB
Swap:                  0 kB
c000000000-c000400000 rw-p 00000000 00:00 0 
Anonymous:             0 kB
Swap:                  0 kB
7f0000200000-7f0000300000 r--p 00000000 fe:00 1234 /usr/bin/hubd
Anonymous:             0 kB
`

func TestCleanMappings(t *testing.T) {
	got := cleanMappings(strings.NewReader(smaps), "/usr/bin/hubd")
	if len(got) != 1 || got[0] != (mapping{0x400000, 0xd1e000}) {
		t.Errorf("%#x; want the first mapping alone: the others were written to, can be, are shared, are another file's or have no figures", got)
	}
	if got := cleanMappings(strings.NewReader("nonsense\n1-2\nx-y r--p 0 0 0 f\nAnonymous:\n2-1 r--p 0 0 0 f\nAnonymous: 0 kB\nSwap: 0 kB\n"), "f"); got != nil {
		t.Errorf("%#x from nonsense", got)
	}
}

// Reads this process's own file, and goes on running after its code was dropped.
func TestDropCode(t *testing.T) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Skip("no /proc here")
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip("no smaps here")
	}
	defer f.Close()
	if len(cleanMappings(f, exe)) == 0 {
		t.Error("no mapping of the program itself was found")
	}
	before := resident(t)
	dropCode()
	if after := resident(t); after >= before {
		t.Errorf("%d pages resident before, %d after", before, after)
	}
}

// resident is how many pages of files the process has mapped and in memory.
func resident(t *testing.T) (pages int) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	if fields := strings.Fields(string(b)); len(fields) > 2 {
		pages, err = strconv.Atoi(fields[2])
	}
	if pages == 0 {
		t.Fatalf("%q, %v", b, err)
	}
	return pages
}
