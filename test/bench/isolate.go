//go:build linux

package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banyanmq/banyan/test/bench/dialect"
)

// isolate is a paced fan-out, first alone and then beside one subscriber that reads nothing: the others must not notice, and
// that one must be cut off. It needs a server with a small max_pending, so that this takes seconds.
type isolate struct{ delivery }

type isolateSession struct{ *deliverySession }

func (c isolate) open(run uint16, at *site) (load, error) {
	l, err := c.delivery.open(run, at)
	if err != nil {
		return nil, err
	}
	return &isolateSession{l.(*deliverySession)}, nil
}

// Run loads for d twice. The measure is that of the second part; the first one's p99 is beside it.
func (s *isolateSession) Run(d time.Duration) (measure, error) {
	quiet, err := s.deliverySession.Run(d)
	if err != nil {
		return measure{}, err
	}
	deaf, err := dialPlain(s.site.subs[0], 4<<10)
	if err != nil {
		return measure{}, err
	}
	defer deaf.close()
	if err := (dialect.NATS{}).Greet(blocking(deaf.fd), nil); err != nil {
		return measure{}, err
	}
	if err := deaf.write(fmt.Appendf(nil, "SUB b%d.all 1\r\nPING\r\n", s.run)); err != nil {
		return measure{}, err
	}
	m, err := s.deliverySession.Run(d)
	if err != nil {
		return measure{}, err
	}
	got, cut := drain(deaf)
	offered := float64(m.Messages) * float64(s.spec.size)
	m.Extra = map[string]float64{
		"p99 quiet, us":                    quiet.Latency.P99,
		"p99 beside, us":                   m.Latency.P99,
		"p99 beside / quiet":               m.Latency.P99 / quiet.Latency.P99,
		"publisher held at most, ms":       m.Extra["worst lateness of a send, us"] / 1e3,
		"held when quiet, ms":              quiet.Extra["worst lateness of a send, us"] / 1e3,
		"deaf one cut off (1: yes)":        map[bool]float64{true: 1}[cut],
		"share of bytes kept for the deaf": float64(got) / offered,
	}
	return m, nil
}

// drain reads what a connection still holds; cut says whether the server had closed it.
func drain(e *endpoint) (bytes int64, cut bool) {
	limit := unix.NsecToTimeval(int64(1500 * time.Millisecond))
	_ = unix.SetsockoptTimeval(e.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	_ = unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	buf := make([]byte, 1<<20)
	for {
		n, err := unix.Read(e.fd, buf)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return bytes, false
		case err != nil || n == 0:
			return bytes, true
		default:
			bytes += int64(n)
		}
	}
}
