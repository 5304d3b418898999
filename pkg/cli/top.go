package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// topOptions are the flags of top.
type topOptions struct {
	interval time.Duration
	count    int
	once     bool
	asJSON   bool
	order    string
	account  string
	limit    int
}

// topSorts are what --sort takes.
var topSorts = []string{"msgs-from", "msgs-to", "bytes-from", "bytes-to", "subs", "pending", "cid"}

func newTop(exe string) *cobra.Command {
	var (
		m monitoring
		o topOptions
	)
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch a running daemon: rates and its busiest connections",
		Long: `Ask a running daemon over its HTTP port again and again and show what it does now:
messages and bytes a second, memory, CPU, and the connections that do most.

On a terminal the view is refreshed until it is interrupted. Into a pipe or a
file each round is written below the one before, without control characters; -n
ends after so many rounds, --once after the first that has rates.

` + exitCodesHelp,
		Example: example(exe, `top
top --sort bytes-to --account APP
top -n 3 -d 10s >figures.txt
top --once --json | jq .out_msgs_per_second`),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case !slices.Contains(topSorts, o.order):
				return usagef("--sort %s is none of %s", o.order, strings.Join(topSorts, ", "))
			case o.interval < 100*time.Millisecond:
				return usagef("--interval %v is below 100ms", o.interval)
			case o.count < 0:
				return usagef("-n %d is below 0", o.count)
			}
			if o.once {
				o.count = 1
			}
			ctx, e, end, err := m.begin(cmd)
			if err != nil {
				return err
			}
			defer end()
			return runTop(ctx, cmd.OutOrStdout(), e, o)
		},
	}
	f := cmd.Flags()
	m.register(f)
	f.DurationVarP(&o.interval, "interval", "d", 2*time.Second, "time between two rounds")
	f.IntVarP(&o.count, "count", "n", 0, "end after so many rounds; 0 goes on")
	addSwitch(f, &o.once, "once", "", "one round, as -n 1")
	addSwitch(f, &o.asJSON, "json", "j", "print an object a line for each round")
	f.StringVar(&o.order, "sort", "msgs-from", "order of the connections: "+strings.Join(topSorts, ", "))
	f.StringVar(&o.account, "account", "", "only connections of this account")
	f.IntVar(&o.limit, "limit", 20, "show at most this many connections")
	return cmd
}

// sample is what one round found.
type sample struct {
	at    time.Time
	varz  varz
	conns []topConn
}

type topConn struct {
	CID      uint64 `json:"cid"`
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	IP       string `json:"ip"`
	Port     int    `json:"port"`
	Account  string `json:"account"`
	InMsgs   int64  `json:"in_msgs"`
	OutMsgs  int64  `json:"out_msgs"`
	InBytes  int64  `json:"in_bytes"`
	OutBytes int64  `json:"out_bytes"`
	Pending  int64  `json:"pending_bytes"`
	Subs     int    `json:"subscriptions"`
}

func takeSample(ctx context.Context, e *endpoints, o *topOptions) (*sample, error) {
	s := &sample{at: time.Now()}
	if err := e.object(ctx, "varz", nil, &s.varz); err != nil {
		return nil, err
	}
	query := url.Values{"auth": {"true"}, "limit": {"100000"}}
	if o.account != "" {
		query.Set("acc", o.account)
	}
	var answer struct {
		Connections []topConn `json:"connections"`
	}
	err := e.object(ctx, "connz", query, &answer)
	s.conns = answer.Connections
	return s, err
}

// topFigures are the differences between two rounds, by the second.
type topFigures struct {
	Server      string       `json:"server_name"`
	ID          string       `json:"server_id"`
	Time        time.Time    `json:"time"`
	Seconds     float64      `json:"seconds"`
	Connections int          `json:"connections"`
	Subs        int          `json:"subscriptions"`
	Slow        int64        `json:"slow_consumers"`
	Mem         int64        `json:"mem"`
	CPU         float64      `json:"cpu"`
	InMsgs      float64      `json:"in_msgs_per_second"`
	OutMsgs     float64      `json:"out_msgs_per_second"`
	InBytes     float64      `json:"in_bytes_per_second"`
	OutBytes    float64      `json:"out_bytes_per_second"`
	Conns       []topConnNow `json:"top"`
	uptime      string
}

type topConnNow struct {
	CID      uint64  `json:"cid"`
	Kind     string  `json:"kind,omitempty"`
	Name     string  `json:"name,omitempty"`
	Address  string  `json:"address"`
	Account  string  `json:"account,omitempty"`
	Subs     int     `json:"subscriptions"`
	Pending  int64   `json:"pending_bytes"`
	InMsgs   float64 `json:"in_msgs_per_second"`
	OutMsgs  float64 `json:"out_msgs_per_second"`
	InBytes  float64 `json:"in_bytes_per_second"`
	OutBytes float64 `json:"out_bytes_per_second"`
}

func compare(old, now *sample, o *topOptions) *topFigures {
	seconds := max(now.at.Sub(old.at).Seconds(), 1e-3)
	rate := func(before, after int64) float64 { return float64(max(after-before, 0)) / seconds }
	a, b := &old.varz, &now.varz
	if a.ID != b.ID {
		a = b // another process: no rates this time
	}
	f := &topFigures{
		Server: b.Name, ID: b.ID, Time: now.at, Seconds: seconds, Connections: b.Connections, Subs: b.Subs, Slow: b.Slow, Mem: b.Mem, CPU: b.CPU, uptime: b.Uptime,
		InMsgs: rate(a.InMsgs, b.InMsgs), OutMsgs: rate(a.OutMsgs, b.OutMsgs), InBytes: rate(a.InBytes, b.InBytes), OutBytes: rate(a.OutBytes, b.OutBytes),
	}
	before := map[uint64]topConn{}
	if old.varz.ID == now.varz.ID {
		for _, c := range old.conns {
			before[c.CID] = c
		}
	}
	for _, c := range now.conns {
		was := before[c.CID] // of a new one all counts
		f.Conns = append(f.Conns, topConnNow{
			CID: c.CID, Kind: c.Kind, Name: c.Name, Address: peer{IP: c.IP, Port: c.Port}.address(), Account: c.Account, Subs: c.Subs, Pending: c.Pending,
			InMsgs: rate(was.InMsgs, c.InMsgs), OutMsgs: rate(was.OutMsgs, c.OutMsgs), InBytes: rate(was.InBytes, c.InBytes), OutBytes: rate(was.OutBytes, c.OutBytes),
		})
	}
	slices.SortStableFunc(f.Conns, func(x, y topConnNow) int {
		return cmp.Or(cmp.Compare(x.key(o.order), y.key(o.order)), cmp.Compare(x.CID, y.CID))
	})
	return f
}

// key is smaller for what stands further up.
func (c *topConnNow) key(order string) float64 {
	switch order {
	case "msgs-to":
		return -c.OutMsgs
	case "bytes-from":
		return -c.InBytes
	case "bytes-to":
		return -c.OutBytes
	case "subs":
		return -float64(c.Subs)
	case "pending":
		return -float64(c.Pending)
	case "cid":
		return float64(c.CID)
	}
	return -c.InMsgs
}

func runTop(ctx context.Context, out io.Writer, e *endpoints, o topOptions) error {
	terminal := isTerminal(out) && !o.asJSON && o.count == 0
	if terminal {
		// The other screen, so that what was there comes back in the end.
		_, _ = io.WriteString(out, "\x1b[?1049h\x1b[?25l")
		defer func() { _, _ = io.WriteString(out, "\x1b[?25h\x1b[?1049l") }()
	}
	old, err := takeSample(ctx, e, &o)
	if err != nil {
		return err
	}
	for round := 0; o.count == 0 || round < o.count; round++ {
		if !pause(ctx, o.interval) {
			return endOfTop(terminal)
		}
		now, err := takeSample(ctx, e, &o)
		if err != nil {
			if ctx.Err() != nil {
				return endOfTop(terminal)
			}
			if terminal { // it may be restarting
				_, _ = fmt.Fprintf(out, "\x1b[H\x1b[2J%v\n", err)
				continue
			}
			return err
		}
		f := compare(old, now, &o)
		old = now
		limit := o.limit
		if terminal {
			limit = min(limit, max(terminalRows(out)-6, 1))
		}
		if limit > 0 && len(f.Conns) > limit {
			f.Conns = f.Conns[:limit]
		}
		switch {
		case o.asJSON:
			err = writeJSONLine(out, f)
		case terminal:
			_, err = io.WriteString(out, "\x1b[H\x1b[2J"+f.table())
		case round > 0:
			_, err = io.WriteString(out, "\n"+f.table())
		default:
			_, err = io.WriteString(out, f.table())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// endOfTop: to interrupt is how one leaves the view.
func endOfTop(terminal bool) error {
	if terminal {
		return nil
	}
	return exit(ExitInterrupted, nil)
}

// defaultRows of a terminal that does not say.
const defaultRows = 24

// perSecond writes a rate.
func perSecond(n float64) string {
	switch {
	case n >= 1e7:
		return fmt.Sprintf("%.1fM", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1fk", n/1e3)
	case n >= 10 || n == 0:
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.1f", n)
}

func (f *topFigures) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  up %s  %s memory  %.1f %% CPU  %d connections  %d subscriptions  %d slow\n",
		clean(f.Server), dash(f.uptime), size(f.Mem), f.CPU, f.Connections, f.Subs, f.Slow)
	fmt.Fprintf(&b, "in %s msgs/s %s/s  out %s msgs/s %s/s  over %.1f s\n\n",
		perSecond(f.InMsgs), size(int64(f.InBytes)), perSecond(f.OutMsgs), size(int64(f.OutBytes)), f.Seconds)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CID\tNAME\tADDRESS\tACCOUNT\tSUBS\tPENDING\tMSGS-FROM/s\tMSGS-TO/s\tBYTES-FROM/s\tBYTES-TO/s")
	for _, c := range f.Conns {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", c.CID, strings.ReplaceAll(clean(dash(c.Name)), "\t", " "), c.Address, dash(clean(c.Account)),
			c.Subs, size(c.Pending), perSecond(c.InMsgs), perSecond(c.OutMsgs), size(int64(c.InBytes)), size(int64(c.OutBytes)))
	}
	_ = w.Flush()
	return b.String()
}
