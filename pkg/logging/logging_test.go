package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 1, 2, 15, 4, 5, 1000, time.FixedZone("CET", 3600))

func open(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func fixed(o Options, buf *bytes.Buffer) Options {
	o.Out, o.PID, o.Now = buf, 4711, func() time.Time { return noon }
	return o
}

func writeAll(l *Logger) {
	l.Noticef("Server is ready")
	l.Warnf("%d%%", 50)
	l.Errorf("bad %q", "x")
	l.Debugf("debug %s", "text")
	l.Tracef("<<- [PUB foo %d]", 5)
	l.WithPrefix(`127.0.0.1:50112 - cid:5 - "v1.53:go"`).Errorf("Authorization Violation")
}

func TestTextLayout(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"plain": {Options{}, `
[4711] 2026/01/02 15:04:05.000001 [INF] Server is ready
[4711] 2026/01/02 15:04:05.000001 [WRN] 50%
[4711] 2026/01/02 15:04:05.000001 [ERR] bad "x"
[4711] 2026/01/02 15:04:05.000001 [ERR] 127.0.0.1:50112 - cid:5 - "v1.53:go" - Authorization Violation
`},
		"no time, debug and trace": {Options{NoTime: true, Debug: true, Trace: true}, `
[4711] [INF] Server is ready
[4711] [WRN] 50%
[4711] [ERR] bad "x"
[4711] [DBG] debug text
[4711] [TRC] <<- [PUB foo 5]
[4711] [ERR] 127.0.0.1:50112 - cid:5 - "v1.53:go" - Authorization Violation
`},
		"trace alone": {Options{NoTime: true, Trace: true}, `
[4711] [INF] Server is ready
[4711] [WRN] 50%
[4711] [ERR] bad "x"
[4711] [TRC] <<- [PUB foo 5]
[4711] [ERR] 127.0.0.1:50112 - cid:5 - "v1.53:go" - Authorization Violation
`},
		"debug alone, UTC": {Options{UTC: true, Debug: true}, `
[4711] 2026/01/02 14:04:05.000001 [INF] Server is ready
[4711] 2026/01/02 14:04:05.000001 [WRN] 50%
[4711] 2026/01/02 14:04:05.000001 [ERR] bad "x"
[4711] 2026/01/02 14:04:05.000001 [DBG] debug text
[4711] 2026/01/02 14:04:05.000001 [ERR] 127.0.0.1:50112 - cid:5 - "v1.53:go" - Authorization Violation
`},
	} {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			writeAll(open(t, fixed(c.o, &buf)).Logger())
			if got := "\n" + buf.String(); got != c.want {
				t.Errorf("got%swant%s", got, c.want)
			}
		})
	}
}

// The Rust suite finds the port and the store by these patterns.
func TestLinesThatSuitesScrape(t *testing.T) {
	var buf bytes.Buffer
	l := open(t, Options{Out: &buf}).Logger()
	l.Noticef("Listening for client connections on %s", "0.0.0.0:4222")
	l.Noticef("  Store Directory: %q", "/tmp/x")
	lines := strings.Split(buf.String(), "\n")
	if m := regexp.MustCompile(`.+\sclient connections on\s+(\S+)`).FindStringSubmatch(lines[0]); m == nil || m[1] != "0.0.0.0:4222" {
		t.Errorf("%q: %v", lines[0], m)
	}
	if m := regexp.MustCompile(`.+\sStore Directory:\s+"([^"]+)"`).FindStringSubmatch(lines[1]); m == nil || m[1] != "/tmp/x" {
		t.Errorf("%q: %v", lines[1], m)
	}
}

func TestColoursOfLabels(t *testing.T) {
	var buf bytes.Buffer
	writeAll(open(t, fixed(Options{NoTime: true, Color: ColorAlways, Debug: true, Trace: true}, &buf)).Logger())
	for _, s := range []string{"[\x1b[32mINF\x1b[0m] Server", "[\x1b[0;93mWRN\x1b[0m]", "[\x1b[31mERR\x1b[0m]", "[\x1b[36mDBG\x1b[0m]", "[\x1b[33mTRC\x1b[0m]"} {
		if !strings.Contains(buf.String(), s) {
			t.Errorf("no %q in %q", s, buf.String())
		}
	}
}

func TestJSON(t *testing.T) {
	var buf bytes.Buffer
	l := open(t, fixed(Options{Format: FormatJSON, UTC: true, Trace: true}, &buf)).Logger()
	l.WithPrefix("127.0.0.1:5 - cid:7").Zap().Warn("slow", zap.Int("pending", 3))
	l.Tracef("x")
	dec := json.NewDecoder(&buf)
	var first, second map[string]any
	if err := dec.Decode(&first); err != nil {
		t.Fatal(err)
	}
	if err := dec.Decode(&second); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{"level": "warn", "msg": "slow", "conn": "127.0.0.1:5 - cid:7", "pending": 3.0, "pid": 4711.0, "time": "2026-01-02T14:04:05.000001Z"} {
		if first[k] != want {
			t.Errorf("%s is %v, want %v", k, first[k], want)
		}
	}
	if second["level"] != "trace" || second["msg"] != "x" {
		t.Errorf("second line %v", second)
	}
}

func TestTypedFieldsFollowTheText(t *testing.T) {
	var buf bytes.Buffer
	l := open(t, fixed(Options{NoTime: true}, &buf)).Logger()
	l.Zap().With(zap.String("a", "b")).Info("text", zap.Int("n", 1))
	if got := buf.String(); got != "[4711] [INF] text a=b n=1\n" {
		t.Errorf("got %q", got)
	}
}

func TestNoTextForgesALine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var buf bytes.Buffer
		l, err := New(fixed(Options{NoTime: true}, &buf))
		if err != nil {
			rt.Fatal(err)
		}
		s := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(rt, "s")
		l.Logger().WithPrefix(s).Noticef("%s", s)
		out := buf.String()
		if strings.Count(out, "\n") != 1 || !strings.HasSuffix(out, "\n") {
			rt.Fatalf("%q became %q", s, out)
		}
		for i, r := range strings.TrimSuffix(out, "\n") {
			if r < 0x20 && r != '\t' || r >= 0x7f && r <= 0x9f {
				rt.Fatalf("control character %U at %d of %q", r, i, out)
			}
		}
	})
}

func TestLevelsSwitchWhileRunning(t *testing.T) {
	var buf bytes.Buffer
	log := open(t, fixed(Options{NoTime: true}, &buf))
	l := log.Logger().WithPrefix("c")
	l.Debugf("1")
	if l.DebugEnabled() || l.TraceEnabled() {
		t.Error("enabled before")
	}
	log.SetLevels(true, true)
	l.Debugf("2")
	l.Tracef("3")
	if !l.DebugEnabled() || !l.TraceEnabled() {
		t.Error("not enabled")
	}
	log.SetLevels(false, false)
	l.Debugf("4")
	if got := buf.String(); got != "[4711] [DBG] c - 2\n[4711] [TRC] c - 3\n" {
		t.Errorf("got %q", got)
	}
}

func TestDisabledLevelNeverFormats(t *testing.T) {
	l := open(t, Options{Out: &bytes.Buffer{}}).Logger().WithPrefix("c")
	called := 0
	f := formatCounter{&called}
	l.Debugf("%v", f)
	l.Tracef("%v", f)
	Discard().Errorf("%v", f)
	if called != 0 {
		t.Errorf("formatted %d times", called)
	}
	if n := testing.AllocsPerRun(100, func() {
		if l.TraceEnabled() {
			t.Error("on")
		}
		l.Tracef("plain")
	}); n != 0 {
		t.Errorf("%v allocations for a line nobody wants", n)
	}
	l.Errorf("%v", f)
	if called != 1 {
		t.Errorf("an enabled line was formatted %d times", called)
	}
}

type formatCounter struct{ n *int }

func (f formatCounter) String() string { *f.n++; return "" }

func TestFatalWritesThenExits(t *testing.T) {
	var buf bytes.Buffer
	code, written := 0, ""
	o := fixed(Options{NoTime: true}, &buf)
	o.Exit = func(c int) { code, written = c, buf.String() }
	open(t, o).Logger().Fatalf("no %s", "way")
	if code != 1 || written != "[4711] [FTL] no way\n" {
		t.Errorf("exit %d after %q", code, written)
	}
}

func TestRepeatedWarningOncePerSecond(t *testing.T) {
	var buf bytes.Buffer
	now := noon
	o := fixed(Options{NoTime: true}, &buf)
	o.Now = func() time.Time { return now }
	l := open(t, o).Logger()
	for range 5 {
		l.RateLimitedWarnf("same %d", 1)
	}
	l.WithPrefix("other").RateLimitedWarnf("same %d", 1)
	l.RateLimitedWarnf("same %d", 2)
	now = now.Add(time.Second)
	l.RateLimitedWarnf("same %d", 1)
	if n := strings.Count(buf.String(), "\n"); n != 4 {
		t.Errorf("%d lines, want 4:\n%s", n, buf.String())
	}
	// Bounded, whatever strangers make us say.
	for i := range 10 * recentMax {
		l.RateLimitedWarnf("n %d", i)
	}
	if n := len(l.log.recent.m); n > recentMax {
		t.Errorf("%d texts remembered", n)
	}
}

func TestFileAppendsAndHasItsMode(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.log")
	for i := range 2 {
		l := open(t, Options{File: name})
		l.Logger().Noticef("run %d", i)
		l.Close()
		l.Logger().Noticef("after close")
	}
	b, err := os.ReadFile(name)
	if err != nil || strings.Count(string(b), "\n") != 2 {
		t.Errorf("%q, %v", b, err)
	}
	if fi, _ := os.Stat(name); fi.Mode().Perm()&^0o640 != 0 {
		t.Errorf("mode %v", fi.Mode())
	}
	if _, err := New(Options{File: filepath.Join(name, "not", "here")}); err == nil {
		t.Error("opened a file below a file")
	}
}

func TestReopenFollowsTheName(t *testing.T) {
	dir := t.TempDir()
	name, moved := filepath.Join(dir, "x.log"), filepath.Join(dir, "old.log")
	log := open(t, Options{File: name})
	l := log.Logger()
	l.Noticef("one")
	if err := os.Rename(name, moved); err != nil {
		t.Fatal(err)
	}
	l.Noticef("two")
	if err := log.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Noticef("three")
	if b, _ := os.ReadFile(moved); strings.Count(string(b), "\n") != 2 {
		t.Errorf("the moved file has %q", b)
	}
	if b, _ := os.ReadFile(name); !strings.HasSuffix(string(b), "[INF] three\n") || strings.Count(string(b), "\n") != 1 {
		t.Errorf("the new file has %q", b)
	}
}

func TestReopenThatFailsLosesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	log := open(t, Options{File: filepath.Join(dir, "x.log")})
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	if err := log.Reopen(); err == nil {
		t.Error("opened a file in a directory that is gone")
	}
	log.Logger().Noticef("still here")
	if b, _ := os.ReadFile(filepath.Join(dir+"2", "x.log")); !strings.Contains(string(b), "still here") {
		t.Errorf("got %q", b)
	}
}

// config-cli 16.11: limit 2000, three files, a hundred lines.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x.log")
	log := open(t, Options{File: name, SizeLimit: 2000, MaxFiles: 3})
	l := log.Logger()
	for i := range 100 {
		l.Noticef("line %03d %s", i, strings.Repeat("x", 40))
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 3 {
		t.Errorf("%d files, want 3: %v", len(entries), entries)
	}
	var all string
	for _, e := range entries {
		b, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		if e.Name() != "x.log" {
			if !regexp.MustCompile(`^x\.log\.\d{4}\.\d\d\.\d\d\.\d\d\.\d\d\.\d\d\.\d{9}$`).MatchString(e.Name()) {
				t.Errorf("backup name %q", e.Name())
			}
			if len(b) > 2200 {
				t.Errorf("%s has %d bytes", e.Name(), len(b))
			}
		}
		all += string(b)
	}
	// What was not purged is whole: the last lines without a gap.
	nums := regexp.MustCompile(`line (\d{3}) x{40}\n`).FindAllStringSubmatch(all, -1)
	have := map[string]bool{}
	for _, m := range nums {
		have[m[1]] = true
	}
	for i := 100 - len(have); i < 100; i++ {
		if !have[fmt.Sprintf("%03d", i)] {
			t.Errorf("line %d is missing", i)
		}
	}
	if len(have) < 20 {
		t.Errorf("only %d lines kept", len(have))
	}
	if !strings.Contains(all, `[INF] Rotated log, backup saved as "`+name+`.`) || !strings.Contains(all, `[INF] Purged log file "`+name+`.`) {
		t.Errorf("no word of rotation in\n%s", all)
	}
}

func TestRotationWithoutPurgeLosesNoLine(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x.log")
	// A clock that stands still: backups must not overwrite each other.
	log := open(t, Options{File: name, SizeLimit: 500, Now: func() time.Time { return noon }})
	var wg sync.WaitGroup
	for g := range 4 {
		l := log.Logger().WithPrefix(fmt.Sprint("g", g))
		wg.Go(func() {
			for i := range 50 {
				l.Noticef("line %d", i)
			}
		})
	}
	wg.Wait()
	entries, _ := os.ReadDir(dir)
	n := 0
	for _, e := range entries {
		b, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		n += strings.Count(string(b), " - line ")
	}
	if n != 200 || len(entries) < 10 {
		t.Errorf("%d lines in %d files, want 200 in many", n, len(entries))
	}
}

func TestRotationThatFailsDoublesTheLimit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	log := open(t, Options{File: filepath.Join(dir, "x.log"), SizeLimit: 300})
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		log.Logger().Noticef("a line of some length")
	}
	b, _ := os.ReadFile(filepath.Join(dir+"2", "x.log"))
	if n := strings.Count(string(b), "a line of some length"); n != 20 {
		t.Errorf("%d lines, want 20", n)
	}
	if n := strings.Count(string(b), "[ERR] Unable to rename log file"); n == 0 || n > 5 {
		t.Errorf("%d complaints", n)
	}
}

func TestReconfigureMovesTheLog(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	log := open(t, Options{File: a})
	l := log.Logger().WithPrefix("c")
	l.Noticef("one")
	if err := log.Reconfigure(Options{File: filepath.Join(dir, "no", "b")}); err == nil {
		t.Error("moved to a directory that is not there")
	}
	if err := log.Reconfigure(Options{File: b, Format: "xml"}); err == nil {
		t.Error("took a format that is not there")
	}
	l.Noticef("two")
	if err := log.Reconfigure(Options{File: b, Format: FormatJSON, Debug: true}); err != nil {
		t.Fatal(err)
	}
	l.Debugf("three")
	ab, _ := os.ReadFile(a)
	bb, _ := os.ReadFile(b)
	if strings.Count(string(ab), "\n") != 2 || !strings.Contains(string(bb), `"conn":"c"`) || !strings.Contains(string(bb), `"msg":"three"`) {
		t.Errorf("a %q\nb %q", ab, bb)
	}
}

func TestManyWritersWholeLines(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.log")
	log := open(t, Options{File: name, NoTime: true, PID: 1})
	var wg sync.WaitGroup
	for g := range 8 {
		l := log.Logger().WithPrefix(fmt.Sprint("g", g))
		wg.Go(func() {
			for i := range 200 {
				l.Noticef("line %d", i)
				if i%50 == 0 {
					log.SetLevels(i%100 == 0, true)
					if err := log.Reopen(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	b, _ := os.ReadFile(name)
	re := regexp.MustCompile(`^\[1\] \[INF\] g\d - line \d+$`)
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(lines) != 1600 {
		t.Errorf("%d lines", len(lines))
	}
	for _, s := range lines {
		if !re.MatchString(s) {
			t.Errorf("torn line %q", s)
		}
	}
}

func BenchmarkDisabled(b *testing.B) {
	l, _ := New(Options{Out: &bytes.Buffer{}})
	lg := l.Logger().WithPrefix("c")
	b.ReportAllocs()
	for b.Loop() {
		lg.Tracef("plain")
	}
}

func BenchmarkNotice(b *testing.B) {
	l, _ := New(Options{File: filepath.Join(b.TempDir(), "x")})
	lg := l.Logger().WithPrefix("127.0.0.1:50112 - cid:5")
	b.ReportAllocs()
	for b.Loop() {
		lg.Noticef("Client connection closed: %s", "Client Closed")
	}
}
