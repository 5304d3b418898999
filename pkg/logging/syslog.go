package logging

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap/zapcore"
)

// facilityDaemon is that of all our lines.
const facilityDaemon = 3 << 3

// severity of a level: traces count as notices, as INF does (config-cli 13).
func severity(l zapcore.Level) int {
	switch {
	case l >= zapcore.DPanicLevel:
		return 2 // critical
	case l == zapcore.ErrorLevel:
		return 3
	case l == zapcore.WarnLevel:
		return 4
	case l == zapcore.DebugLevel:
		return 7
	}
	return 5 // notice
}

const (
	syslogQueue   = 4096 // lines that wait while the other side is away or slow
	syslogTimeout = 5 * time.Second
	syslogRedial  = time.Second
	syslogFlush   = time.Second // what a stop or a fatal line waits at most
)

// syslog hands lines to a system logger. Whoever logs never waits for it: lines
// queue, and those that find no room are counted.
type syslog struct {
	network, addr string
	tag           string
	pid           int
	host          string
	local         []string // sockets of local loggers

	queue chan entry
	lost  atomic.Uint64
	done  chan struct{}
	quit  sync.Once
	ended chan struct{}

	conn net.Conn // of the sender's goroutine
}

// entry is a line, or with text nil a mark: flushed is closed when all before it
// is sent.
type entry struct {
	level   zapcore.Level
	at      time.Time
	text    []byte
	flushed chan struct{}
}

// CheckSyslog says whether an address can be that of a remote system logger:
// udp://host[:514], tcp://host[:514] or unix:///path.
func CheckSyslog(address string) error {
	_, _, err := syslogAddress(address)
	return err
}

func syslogAddress(address string) (network, addr string, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", fmt.Errorf("syslog address %q: want udp://host:514, tcp://host:514 or unix:///path", address)
	}
	switch u.Scheme {
	case "udp", "tcp":
		if u.Hostname() == "" {
			return "", "", fmt.Errorf("syslog address %q has no host", address)
		}
		port := u.Port()
		if port == "" {
			port = "514"
		}
		return u.Scheme, net.JoinHostPort(u.Hostname(), port), nil
	case "unix":
		if u.Path == "" {
			return "", "", fmt.Errorf("syslog address %q has no path", address)
		}
		return "unix", u.Path, nil
	}
	return "", "", fmt.Errorf("syslog address %q: want udp://host:514, tcp://host:514 or unix:///path", address)
}

// localSyslog are the sockets on which system loggers listen.
func localSyslog() []string { return []string{"/dev/log", "/var/run/syslog", "/var/run/log"} }

// openSyslog begins to send. A local logger must be there; one elsewhere may come
// later.
func openSyslog(o Options) (*syslog, error) {
	s := &syslog{pid: o.PID, tag: filepath.Base(os.Args[0]), queue: make(chan entry, syslogQueue), done: make(chan struct{}), ended: make(chan struct{})}
	s.host, _ = os.Hostname()
	if s.local = o.syslogPaths; s.local == nil {
		s.local = localSyslog()
	}
	var err error
	if o.RemoteSyslog != "" {
		if s.network, s.addr, err = syslogAddress(o.RemoteSyslog); err != nil {
			return nil, err
		}
	} else if err = s.dial(); err != nil {
		return nil, fmt.Errorf("connecting to the local syslog: %w", err)
	}
	go s.send()
	return s, nil
}

func (s *syslog) dial() error {
	if s.network == "" {
		var errs []error
		for _, path := range s.local {
			c, err := dialUnix(path)
			if err == nil {
				s.conn = c
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	var err error
	if s.network == "unix" {
		s.conn, err = dialUnix(s.addr)
	} else {
		s.conn, err = net.DialTimeout(s.network, s.addr, syslogTimeout)
	}
	return err
}

// dialUnix: system loggers take datagrams, a few take streams.
func dialUnix(path string) (net.Conn, error) {
	c, err := net.DialTimeout("unixgram", path, syslogTimeout)
	if err != nil {
		c, err = net.DialTimeout("unix", path, syslogTimeout)
	}
	return c, err
}

// write queues a line without its end.
func (s *syslog) write(level zapcore.Level, at time.Time, b []byte) {
	text := append([]byte(nil), b...)
	select {
	case s.queue <- entry{level: level, at: at, text: text}:
	default:
		s.lost.Add(1)
	}
}

// flush waits until what was queued before is sent, a second at most.
func (s *syslog) flush() {
	limit := time.NewTimer(syslogFlush)
	defer limit.Stop()
	mark := make(chan struct{})
	select {
	case s.queue <- entry{flushed: mark}:
	case <-s.ended:
		return
	case <-limit.C:
		return
	}
	select {
	case <-mark:
	case <-s.ended:
	case <-limit.C:
	}
}

func (s *syslog) close() {
	s.flush()
	s.quit.Do(func() { close(s.done) })
	<-s.ended
}

// send is the goroutine that owns the connection.
func (s *syslog) send() {
	defer close(s.ended)
	defer func() {
		if s.conn != nil {
			_ = s.conn.Close()
		}
	}()
	for {
		select {
		case <-s.done:
			return
		case e := <-s.queue:
			if e.flushed != nil {
				close(e.flushed)
				continue
			}
			if n := s.lost.Swap(0); n > 0 {
				note := entry{level: zapcore.WarnLevel, at: e.at, text: fmt.Appendf(nil, "%d log lines found no room and are lost", n)}
				if !s.deliver(note) {
					return
				}
			}
			if !s.deliver(e) {
				return
			}
		}
	}
}

// deliver sends one line, dialing as often as needed; it reports false when it is
// time to end.
func (s *syslog) deliver(e entry) bool {
	line := s.format(e)
	for {
		if s.conn != nil {
			_ = s.conn.SetWriteDeadline(time.Now().Add(syslogTimeout))
			_, err := s.conn.Write(line)
			if err == nil {
				return true
			}
			_ = s.conn.Close()
			s.conn = nil
			if tooLong(err) {
				return true
			}
		}
		if s.dial() == nil {
			continue
		}
		wait := time.NewTimer(syslogRedial)
		select {
		case <-s.done:
			wait.Stop()
			return false
		case <-wait.C:
		}
	}
}

// tooLong: a datagram that is refused for its length will be refused again.
func tooLong(err error) bool { return strings.Contains(err.Error(), "message too long") }

// format: local loggers want the short time stamp, others that of RFC 3339 and a host.
func (s *syslog) format(e entry) []byte {
	b := append(make([]byte, 0, len(e.text)+80), '<')
	b = strconv.AppendInt(b, int64(facilityDaemon|severity(e.level)), 10)
	b = append(b, '>')
	if s.network == "" || s.network == "unix" {
		b = e.at.AppendFormat(b, time.Stamp)
	} else {
		b = e.at.AppendFormat(b, time.RFC3339)
		b = append(b, ' ')
		b = append(b, s.host...)
	}
	b = append(b, ' ')
	b = append(b, s.tag...)
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(s.pid), 10)
	b = append(b, "]: "...)
	b = append(b, e.text...)
	return append(b, '\n')
}
