package monitor

import (
	"math"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// usage measures the process's share of a processor between two questions.
type usage struct {
	mu   sync.Mutex
	at   time.Time
	used time.Duration
	last float64
}

// usageGap is how far apart two measurements are at least; in between the last
// result is repeated.
const usageGap = 500 * time.Millisecond

// percent of one core, since the previous question or else since start.
func (u *usage) percent(start time.Time) float64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.at.IsZero() {
		u.at = start
	}
	now := time.Now()
	wall := now.Sub(u.at)
	if wall < usageGap && u.used > 0 {
		return u.last
	}
	used := ProcessorTime()
	if used == 0 || wall <= 0 {
		return u.last
	}
	u.last = math.Round(1000*float64(used-u.used)/float64(wall)) / 10
	u.at, u.used = now, used
	return u.last
}

// memoryLimit is GOMEMLIMIT in bytes, 0 without one.
func memoryLimit() int64 {
	if n := debug.SetMemoryLimit(-1); n != math.MaxInt64 {
		return n
	}
	return 0
}

// Uptime writes a duration in years, days, hours, minutes and seconds, without
// leading units that are zero: 3d2h5m0s.
func Uptime(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	units := [...]struct {
		name string
		size int64
	}{{"y", 365 * 86400}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}}
	var b []byte
	for _, u := range units {
		n := s / u.size
		s %= u.size
		if n > 0 || len(b) > 0 || u.size == 1 {
			b = append(strconv.AppendInt(b, n, 10), u.name...)
		}
	}
	return string(b)
}
