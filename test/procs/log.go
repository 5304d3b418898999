package procs

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// maxLog bounds what is kept of one process's output; the middle of a longer log is dropped.
const maxLog = 8 << 20

// Log collects a process's output and lets others wait for lines in it.
type Log struct {
	mu      sync.Mutex
	buf     []byte        // guarded by mu
	dropped int           // bytes dropped from the middle; guarded by mu
	ended   bool          // no more output will come; guarded by mu
	changed chan struct{} // closed and replaced at each write; guarded by mu
}

func newLog() *Log { return &Log{changed: make(chan struct{})} }

// Write appends output. It never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	if len(l.buf) > maxLog {
		half := maxLog / 2
		cut := len(l.buf) - half
		l.dropped += cut - half
		l.buf = append(l.buf[:half], l.buf[cut:]...)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

func (l *Log) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	close(l.changed)
	l.changed = make(chan struct{})
}

// String returns everything kept so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}

// Tail returns the last n lines.
func (l *Log) Tail(n int) string {
	lines := strings.Split(strings.TrimRight(l.String(), "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

// Count returns how many lines match re.
func (l *Log) Count(re *regexp.Regexp) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range bytes.Lines(l.buf) {
		if re.Match(bytes.TrimRight(line, "\r\n")) {
			n++
		}
	}
	return n
}

// Wait returns the submatches of the first line that matches re, waiting for it until ctx ends or the process is gone.
func (l *Log) Wait(ctx context.Context, re *regexp.Regexp) ([]string, error) {
	scanned, dropped := 0, 0 // bytes of complete lines known not to match; what was cut out of the middle by then
	for {
		l.mu.Lock()
		if l.dropped != dropped {
			scanned, dropped = min(scanned, maxLog/2), l.dropped
		}
		for {
			nl := bytes.IndexByte(l.buf[scanned:], '\n')
			if nl < 0 {
				break
			}
			line := l.buf[scanned : scanned+nl]
			scanned += nl + 1
			if m := re.FindSubmatch(line); m != nil {
				out := make([]string, len(m))
				for i := range m {
					out[i] = string(m[i])
				}
				l.mu.Unlock()
				return out, nil
			}
		}
		changed, ended := l.changed, l.ended
		l.mu.Unlock()
		if ended {
			return nil, fmt.Errorf("the process ended without a line that matches %q", re)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("no line matches %q: %w", re, context.Cause(ctx))
		}
	}
}
