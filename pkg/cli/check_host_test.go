package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/banyanmq/banyan/pkg/cli/host"
	"github.com/banyanmq/banyan/pkg/config"
)

// Whatever this machine is like: what is printed and the exit code say the same.
func TestCheckHost(t *testing.T) {
	file := write(t, "x.yaml", "clients: {listen: 127.0.0.1:4222, limits: {max_connections: 10}}\n")
	_, code, out, errOut := runDaemon(t, config.Hubd, "check", "host", "-c", file, "--json")
	var got struct {
		Daemon, OS, File string
		OK               bool
		Findings         []host.Finding
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s%s", err, out, errOut)
	}
	bad, warn := host.Count(got.Findings, host.Bad), host.Count(got.Findings, host.Warn)
	if got.Daemon != "hubd" || got.File != file || len(got.Findings) == 0 || got.OK != (bad == 0) || code != map[bool]int{true: 0, false: ExitFailure}[got.OK] {
		t.Errorf("exit %d: %s", code, out)
	}
	if _, code, _, _ := runDaemon(t, config.Hubd, "check", "host", "-c", file, "--strict"); (code == ExitFailure) != (bad+warn > 0) {
		t.Errorf("strict: exit %d with %d errors and %d warnings", code, bad, warn)
	}
	if _, code, out, _ := runDaemon(t, config.Hubd, "check", "host", "--sysctl"); code != 0 || !strings.HasPrefix(out, "# For hubd with default settings. ") {
		t.Errorf("exit %d: %s", code, out)
	}
	if _, _, out, _ := runDaemon(t, config.Leafd, "check", "host"); !strings.Contains(out, " not to be seen\n") || !strings.Contains(out, "open files") {
		t.Errorf("%s", out)
	}
	for want, args := range map[string][]string{
		"exclude each other": {"--json", "--sysctl"},
		"unknown command":    {"something"},
		"invalid pid":        {"--pid", "x"},
		"no such file":       {"-c", "/does/not/exist"},
		"not defined":        {"--nope"},
	} {
		if _, code, out, errOut := runDaemon(t, config.Hubd, append([]string{"check", "host"}, args...)...); code == 0 || out != "" || !strings.Contains(errOut, want) {
			t.Errorf("%v: exit %d, %q %q", args, code, out, errOut)
		}
	}
}

func TestHostFindingsArePrinted(t *testing.T) {
	list := []host.Finding{
		{Name: "open files", State: host.Bad, Found: "1024", Wanted: "30000", Why: "too few", Change: []string{"do this", "or that"}},
		{Name: "net.core.somaxconn", State: host.Warn, Found: "128", Wanted: "4096", Why: "too short", Sysctl: "net.core.somaxconn = 4096"},
		{Name: "swap", State: host.OK, Found: "none", Why: "never said"},
		{Name: "clock", State: host.Unseen, Found: "not here"},
	}
	want := `error   open files          1024; wanted: 30000
          too few
          do this
          or that
warn    net.core.somaxconn  128; wanted: 4096
          too short
          sysctl.d: net.core.somaxconn = 4096
ok      swap                none
unseen  clock               not here
1 errors, 1 warnings, 1 fine, 1 not to be seen
`
	if got := hostTable(list); got != want {
		t.Errorf("%s", got)
	}
	want = `# For gwd with x.yaml. Put it into /etc/sysctl.d, then run: sysctl --system

# Found: 128. too short
net.core.somaxconn = 4096
`
	if got := sysctlFile("gwd", "x.yaml", list); got != want {
		t.Errorf("%s", got)
	}
	if got := sysctlFile("gwd", "x.yaml", list[:1]); !strings.Contains(got, "Nothing is to be changed") {
		t.Errorf("%s", got)
	}
}
