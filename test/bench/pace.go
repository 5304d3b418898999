//go:build linux

package main

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// schedule says when the n-th thing is due: at start + n*interval.
type schedule struct {
	start    int64 // nanoseconds on the session's clock
	interval float64
}

func newSchedule(start int64, perSecond float64) schedule {
	return schedule{start, 1e9 / perSecond}
}

func (s schedule) due(n uint64) int64 { return s.start + int64(float64(n)*s.interval) }

// passed returns how many are due by now.
func (s schedule) passed(now int64) uint64 {
	if now < s.start {
		return 0
	}
	n := uint64(float64(now-s.start)/s.interval) + 1
	for n > 0 && s.due(n-1) > now { // rounding
		n--
	}
	return n
}

// pace calls send(from, to) on a thread of its own whenever things from..to-1 have become due, until until (on the same
// clock) or the first error. It returns how many were sent and the worst lateness of a call's end against its first due time.
func pace(s schedule, now func() int64, until int64, send func(from, to uint64) error) (sent uint64, late int64, err error) {
	type result struct {
		sent uint64
		late int64
		err  error
	}
	out := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0)
		defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }() // 0: the default again
		var r result
		for {
			t := now()
			if t >= until {
				break
			}
			n := s.passed(t)
			if n == r.sent {
				ts := unix.NsecToTimespec(max(s.due(n)-t, 0))
				_ = unix.Nanosleep(&ts, nil)
				continue
			}
			first := s.due(r.sent)
			if r.err = send(r.sent, n); r.err != nil {
				break
			}
			r.sent = n
			r.late = max(r.late, now()-first)
		}
		out <- r
	}()
	r := <-out
	return r.sent, r.late, r.err
}
