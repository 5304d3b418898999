package monitor

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"runtime"
	"strings"

	"github.com/banyanmq/banyan/pkg/config"
)

// IPQueueszOptions choose queues by a part of their names.
type IPQueueszOptions struct {
	All    bool   `json:"all"`
	Filter string `json:"filter"`
}

// IPQueue is one queue inside of the process.
type IPQueue struct {
	Pending    int `json:"pending"`
	InProgress int `json:"in_progress,omitempty"`
}

// IPQueuesz answers /ipqueuesz: queues by name, those that are empty only if all
// are asked for.
func (r *Reports) IPQueuesz(o IPQueueszOptions) map[string]IPQueue {
	out := map[string]IPQueue{}
	if r.o.Hooks.Queues == nil {
		return out
	}
	for name, q := range r.o.Hooks.Queues() {
		if (o.All || q.Pending+q.InProgress > 0) && strings.Contains(name, o.Filter) {
			out[name] = q
		}
	}
	return out
}

// RaftzOptions choose groups.
type RaftzOptions struct {
	Account string `json:"account"`
	Group   string `json:"group"`
}

// ErrNoGroups is the answer of a server that is in no group.
var ErrNoGroups = errors.New("No Raft nodes registered") //nolint:revive,staticcheck // the text that tools know

// Raftz answers /raftz: groups by name, by account.
func (r *Reports) Raftz(o RaftzOptions) (any, error) {
	if f := r.o.Hooks.Raftz; f != nil {
		return f(o)
	}
	return nil, ErrNoGroups
}

// Stacks is a dump of all goroutines, cut at 16 MiB.
func Stacks() []byte {
	for size := 1 << 16; ; size *= 2 {
		b := make([]byte, size)
		if n := runtime.Stack(b, true); n < size || size >= 16<<20 {
			return b[:n]
		}
	}
}

// Expvarz is the answer of /debug/vars.
type Expvarz struct {
	Cmdline  []string         `json:"cmdline"`
	MemStats runtime.MemStats `json:"memstats"`
}

// Expvarz answers /debug/vars. Credentials on the command line are not shown.
func (r *Reports) Expvarz() *Expvarz {
	z := &Expvarz{Cmdline: config.RedactArgs(os.Args)}
	runtime.ReadMemStats(&z.MemStats)
	return z
}

// ServeVars is the handler of /debug/vars.
func ServeVars(w http.ResponseWriter, _ *http.Request) {
	b, err := json.Marshal((*Reports)(nil).Expvarz())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(b) // the client is gone
}
