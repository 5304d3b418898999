package version

import (
	"regexp"
	"strings"
	"testing"
)

// Client test suites search "-v" with this pattern and enable tests by what it finds.
func TestFirstVersionInTheLineIsTheProtocol(t *testing.T) {
	re := regexp.MustCompile(`v(\d+\.\d+\.\d+)`)
	for _, exe := range []string{"hubd", "nats-server", "leafd"} {
		m := re.FindStringSubmatch(Line(exe))
		if m == nil || m[1] != "2.14.5" {
			t.Errorf("%q: the pattern finds %v, want 2.14.5", Line(exe), m)
		}
		if !strings.HasPrefix(Line(exe), exe+": v2.14.5") {
			t.Errorf("%q does not begin with the program and the protocol version", Line(exe))
		}
	}
}

func TestOwnVersionStandsBeside(t *testing.T) {
	old := Version
	defer func() { Version = old }()
	Version = "7.8.9"
	if got := Line("hubd"); got != "hubd: v2.14.5 (banyan 7.8.9)" {
		t.Errorf("got %q", got)
	}
	if s := String("gwd"); !strings.HasPrefix(s, "gwd: v2.14.5 (banyan 7.8.9)\n") || !strings.Contains(s, "api level: 4\n") {
		t.Errorf("got %q", s)
	}
	if i := Get(); i.Version != "7.8.9" || i.Protocol != "2.14.5" || i.APILevel != 4 {
		t.Errorf("got %+v", i)
	}
}
