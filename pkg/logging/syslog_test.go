package logging

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// datagrams listens on a socket of the test and returns what arrives.
func datagrams(t *testing.T, network, addr string) (string, func() string) {
	t.Helper()
	pc, err := net.ListenPacket(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return pc.LocalAddr().String(), func() string {
		buf := make([]byte, 64<<10)
		_ = pc.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, _, err := pc.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestSyslogOverASocket(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "log")
	_, next := datagrams(t, "unixgram", path)
	code := -1
	log, err := New(Options{RemoteSyslog: "unix://" + path, Debug: true, Trace: true, PID: 4711, Now: func() time.Time { return noon }, Exit: func(c int) { code = c }})
	if err != nil {
		t.Fatal(err)
	}
	l := log.Logger()
	tag := filepath.Base(os.Args[0])
	stamp := noon.Format(time.Stamp)
	for _, c := range []struct {
		say  func(string, ...any)
		want int
	}{{l.Noticef, 29}, {l.Warnf, 28}, {l.Errorf, 27}, {l.Debugf, 31}, {l.Tracef, 29}, {l.WithPrefix("c").Noticef, 29}, {l.Fatalf, 26}} {
		c.say("text %d\nx", 1)
		got := next()
		want := fmt.Sprintf("<%d>%s %s[4711]: text 1\\nx\n", c.want, stamp, tag)
		if got != want && got != strings.Replace(want, "text", "c - text", 1) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	if err := log.Reconfigure(Options{RemoteSyslog: "unix://" + path, Format: FormatJSON}); err != nil {
		t.Fatal(err)
	}
	l.Warnf("as an object")
	if got := next(); !strings.HasPrefix(got, "<28>") || !strings.Contains(got, `: {"level":"warn"`) {
		t.Errorf("got %q", got)
	}
	log.Close()
	l.Noticef("late")
}

func TestSyslogOverUDP(t *testing.T) {
	addr, next := datagrams(t, "udp", "127.0.0.1:0")
	log := open(t, Options{RemoteSyslog: "udp://" + addr, Syslog: true})
	log.Logger().Noticef("hello")
	host, _ := os.Hostname()
	got := next()
	if !regexp.MustCompile(`^<29>\d{4}-\d\d-\d\dT[0-9:]+(Z|[+-]\d\d:\d\d) ` + regexp.QuoteMeta(host) + ` .*\[\d+\]: hello\n$`).MatchString(got) {
		t.Errorf("got %q", got)
	}
	log.Close()
}

// A logger that goes away and comes back gets the lines that waited, and word of
// those that found no room; nobody waits for it.
func TestSyslogThatIsAway(t *testing.T) {
	defer goleak.VerifyNone(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	log, err := New(Options{RemoteSyslog: "tcp://" + addr})
	if err != nil {
		t.Fatal(err)
	}
	l := log.Logger()
	began := time.Now()
	for i := range syslogQueue + 100 {
		l.Noticef("line %d", i)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("logging waited %v", took)
	}
	if ln, err = net.Listen("tcp", addr); err != nil {
		t.Skipf("the port is taken by somebody else: %v", err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewScanner(c)
	lines, lost := 0, false
	for lines < syslogQueue && r.Scan() {
		if strings.Contains(r.Text(), "log lines found no room") {
			lost = true
			continue
		}
		lines++
	}
	if lines < syslogQueue || !lost || r.Err() != nil {
		t.Errorf("%d lines, word of the lost ones %v, %v", lines, lost, r.Err())
	}
	c.Close()
	ln.Close()
	log.Close()
}

func TestSyslogAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"udp://h:514": "udp h:514", "tcp://h": "tcp h:514", "udp://[::1]:9": "udp [::1]:9", "unix:///dev/log": "unix /dev/log",
		"h:514": "", "http://h": "", "unix://": "", "tcp://:514": "", "": "", "%": "",
	} {
		network, addr, err := syslogAddress(address)
		if got := strings.TrimSpace(network + " " + addr); got != want || (want == "") != (err != nil) {
			t.Errorf("%q is %q, %v; want %q", address, got, err, want)
		}
	}
	_, err := New(Options{RemoteSyslog: "nonsense"})
	if err == nil {
		t.Error("took an address that is none")
	}
	if _, err = New(Options{Syslog: true, syslogPaths: []string{filepath.Join(t.TempDir(), "none")}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a local logger: %v", err)
	}
}
