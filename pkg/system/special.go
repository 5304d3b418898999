package system

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
)

// expvars is the answer to EXPVARZ.
type expvars struct {
	MemStats *runtime.MemStats `json:"memstats"`
	CmdLine  []string          `json:"cmdline"`
}

func newExpvars() *expvars {
	v := &expvars{MemStats: new(runtime.MemStats), CmdLine: config.RedactArgs(os.Args)}
	runtime.ReadMemStats(v.MemStats)
	return v
}

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

type jszOptions struct {
	Account    string `json:"account"`
	LeaderOnly bool   `json:"leader_only"`
}

// jsz says that there are no streams here.
func (s *Service) jsz(o jszOptions) (any, error) {
	switch {
	case o.LeaderOnly:
		return nil, errSilent
	case o.Account != "":
		if s.o.Broker.Lookup([]byte(o.Account)) == nil {
			return nil, fmt.Errorf("account %q not found", o.Account)
		}
		return nil, fmt.Errorf("account %q not jetstream enabled", o.Account)
	}
	type api struct {
		Level  int    `json:"level"`
		Total  uint64 `json:"total"`
		Errors uint64 `json:"errors"`
	}
	return struct {
		Memory    uint64    `json:"memory"`
		Storage   uint64    `json:"storage"`
		ResMemory uint64    `json:"reserved_memory"`
		ResStore  uint64    `json:"reserved_storage"`
		Accounts  int       `json:"accounts"`
		HAAssets  int       `json:"ha_assets"`
		API       api       `json:"api"`
		ID        string    `json:"server_id"`
		Now       time.Time `json:"now"`
		Disabled  bool      `json:"disabled"`
		Config    struct {
			Memory  int64 `json:"max_memory"`
			Storage int64 `json:"max_storage"`
		} `json:"config"`
		Streams   int    `json:"streams"`
		Consumers int    `json:"consumers"`
		Messages  uint64 `json:"messages"`
		Bytes     uint64 `json:"bytes"`
		Total     int    `json:"total"`
	}{ID: s.o.Server.ID, Now: time.Now().UTC(), Disabled: true}, nil
}
