package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConvert(t *testing.T) {
	t.Setenv("CONVERT_PW", "s3cret")
	file := write(t, "nats.conf", "port: 4333 # here\nauthorization { user: u, password: $CONVERT_PW }\nno_fast_producer_stall: true\n")
	code, out, errOut := run(t, "", "convert", "-c", file)
	if code != ExitOK || !strings.Contains(out, "clients:\n  port: 4333\n") || !strings.Contains(out, "password: {env: CONVERT_PW}") || strings.Contains(out+errOut, "s3cret") {
		t.Errorf("%d\n%s%s", code, out, errOut)
	}
	if !strings.Contains(errOut, "nats.conf:3:1: no_fast_producer_stall: has no effect") {
		t.Errorf("nothing is said of what is left out: %s", errOut)
	}
	yaml := filepath.Join(t.TempDir(), "x.yaml")
	if code, out, errOut = run(t, "", "convert", "-c", file, "-o", yaml); code != ExitOK || out != "" {
		t.Fatalf("%d %s%s", code, out, errOut)
	}
	if fi, err := os.Stat(yaml); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	if code, _, errOut = run(t, "", "check", "-c", yaml); code != ExitOK {
		t.Errorf("the result is refused: %s", errOut)
	}
	if code, _, errOut = run(t, "", "convert", "-c", file, "-o", yaml); code != ExitFailure || !strings.Contains(errOut, "exists already") {
		t.Errorf("overwritten: %d %s", code, errOut)
	}
	bad := write(t, "bad.conf", "port: 1\nfoo: 2\nmqtt {}\n")
	if code, out, errOut = run(t, "", "convert", "-c", bad); code != ExitFailure || out != "" || !strings.Contains(errOut, `bad.conf:2:1: unknown field "foo"`) {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	if code, _, _ = run(t, "", "convert"); code != ExitUsage {
		t.Errorf("without a file: %d", code)
	}
}
