package usertoken

import (
	"time"

	"github.com/nats-io/jwt/v2"
)

// Window tells whether now is inside one of the ranges of a day, and until when
// at most. Without ranges every time is, without an end. Bounds do not belong to
// a range; one that ends before it starts goes on past midnight.
func Window(now time.Time, l *jwt.UserLimits) (end time.Time, inside bool) {
	if len(l.Times) == 0 {
		return time.Time{}, true
	}
	loc := time.Local
	if l.Locale != "" {
		var err error
		if loc, err = time.LoadLocation(l.Locale); err != nil {
			return time.Time{}, false
		}
	}
	now = now.In(loc)
	for _, r := range l.Times {
		from, ok1 := clock(r.Start)
		to, ok2 := clock(r.End)
		if !ok1 || !ok2 {
			return time.Time{}, false
		}
		for _, day := range []int{-1, 0} { // one that began yesterday may go on
			start := on(now, day, from)
			stop := on(now, day, to)
			if !to.After(from) {
				stop = on(now, day+1, to)
			}
			if now.After(start) && now.Before(stop) {
				inside = true
				if stop.After(end) {
					end = stop
				}
			}
		}
	}
	return end, inside
}

func clock(s string) (time.Time, bool) {
	t, err := time.Parse("15:04:05", s)
	return t, err == nil
}

// on is a time of the day, some days from now.
func on(now time.Time, days int, t time.Time) time.Time {
	return time.Date(now.Year(), now.Month(), now.Day()+days, t.Hour(), t.Minute(), t.Second(), 0, now.Location())
}
