package system

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/pprof"
	"time"

	"github.com/banyanmq/banyan/pkg/monitor"
)

// profileOptions say which profile; Duration, in nanoseconds, is how long the processor
// is watched.
type profileOptions struct {
	Name     string        `json:"name"`
	Debug    int           `json:"debug"`
	Duration time.Duration `json:"duration"`
}

type profileAnswer struct {
	Profile []byte `json:"profile,omitempty"`
	Error   string `json:"error,omitempty"`
}

// maxProfile is the longest that the processor may be watched.
const maxProfile = 15 * time.Second

// profile answers PROFILEZ. What is wrong stands in the data. It takes as long as is
// asked for, or until the Service is closed.
func (s *Service) profile(o profileOptions) (any, error) {
	fail := func(format string, args ...any) (any, error) {
		return profileAnswer{Error: fmt.Sprintf(format, args...)}, nil
	}
	var buf bytes.Buffer
	switch p := pprof.Lookup(o.Name); {
	case o.Name == "":
		return fail("Profile name not specified")
	case o.Name == "cpu":
		if o.Duration <= 0 || o.Duration > maxProfile {
			return fail("Duration %s should be between 0s and %s", o.Duration, maxProfile)
		}
		if err := pprof.StartCPUProfile(&buf); err != nil {
			return fail("Failed to start CPU profile: %s", err)
		}
		t := time.NewTimer(o.Duration)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.stop:
		}
		pprof.StopCPUProfile()
	case p == nil:
		return fail("Profile %q not found", o.Name)
	default:
		if err := p.WriteTo(&buf, o.Debug); err != nil {
			return fail("Profile %q error: %s", o.Name, err)
		}
	}
	return profileAnswer{Profile: buf.Bytes()}, nil
}

// jsz is the report, but for the account that is asked for: where it is not, or has no
// streams, that is an error.
func (s *Service) jsz(o monitor.JszOptions) (any, error) {
	z, err := s.o.Reports.Jsz(o)
	if errors.Is(err, monitor.ErrNotLeader) {
		return nil, errSilent
	}
	if none, ok := z.(*monitor.Jsz); ok && none.Disabled && o.Account != "" {
		if s.o.Broker.Lookup([]byte(o.Account)) == nil {
			return nil, fmt.Errorf("account %q not found", o.Account)
		}
		return nil, fmt.Errorf("account %q not jetstream enabled", o.Account)
	}
	return z, err
}

// raftz is the report; no groups are none to be shown.
func (s *Service) raftz(o monitor.RaftzOptions) (any, error) {
	z, err := s.o.Reports.Raftz(o)
	if errors.Is(err, monitor.ErrNoGroups) {
		return struct{}{}, nil
	}
	return z, err
}
