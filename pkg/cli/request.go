package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
)

type requester struct {
	connection
	payload
	output
	timeout time.Duration
	replies int
}

func newRequest(exe string) *cobra.Command {
	r := &requester{}
	cmd := &cobra.Command{
		Use:     "request SUBJECT [PAYLOAD | -]",
		Aliases: []string{"req"},
		Short:   "Send requests and print the replies",
		Long: `Send a request and print its reply. With "-" each line of stdin is a
request; stdin is not read otherwise. The first request that fails ends it.

` + outputHelp + `

A reply that carries the header Nats-Service-Error is printed and makes the
exit code 1.

` + exitCodesHelp,
		Example: example(exe, `request svc.time ""
request svc.add '{"a":1,"b":2}' --raw | jq .sum
request svc.ping --count 1000 --verbose >/dev/null
request svc.who --replies 0 --timeout 500ms`),
		Args: usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args) },
	}
	r.connection.register(cmd)
	r.payload.register(cmd)
	r.output.register(cmd)
	cmd.Flags().DurationVarP(&r.timeout, "timeout", "t", 5*time.Second, "wait this long for a reply")
	cmd.Flags().IntVar(&r.replies, "replies", 1, "wait for this many replies to each request; 0: for all that come in time")
	return cmd
}

func (r *requester) run(cmd *cobra.Command, args []string) error {
	if err := r.output.check(); err != nil {
		return err
	}
	if r.timeout <= 0 || r.replies < 0 {
		return usagef("--timeout must be above 0, --replies not below")
	}
	header, err := parseHeaders(r.payload.headers)
	if err != nil {
		return err
	}
	if err := publishable(args[0]); err != nil {
		return err
	}
	next, err := r.payload.open(cmd, args[1:], false)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	nc, err := r.dial(ctx, cmd, silentErrors())
	if err != nil {
		return err
	}
	defer nc.Close()

	out := bufio.NewWriter(cmd.OutOrStdout())
	defer out.Flush()
	pace := newPacer(r.rate)
	var times []time.Duration
	for {
		if !pace.wait(ctx) {
			return exit(ExitInterrupted, nil)
		}
		data, err := next(ctx)
		if ctx.Err() != nil {
			return exit(ExitInterrupted, nil)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		m := &nats.Msg{Subject: args[0], Header: header, Data: data}
		start := time.Now()
		if r.replies == 1 {
			err = r.one(ctx, nc, m, out)
		} else {
			err = r.many(ctx, nc, m, out)
		}
		if ferr := out.Flush(); err == nil {
			err = ferr
		}
		if err != nil {
			return r.explain(nc, err, args[0])
		}
		times = append(times, time.Since(start))
	}
	if n := len(times); n > 0 {
		slices.Sort(times)
		r.notef(cmd, "%d requests, round trip min %s, median %s, p99 %s, max %s",
			n, times[0], times[n/2], times[min(n-1, n*99/100)], times[n-1])
	}
	return nil
}

// explain prefers a refusal by the server to the time-out that it led to.
func (r *requester) explain(nc *nats.Conn, err error, subject string) error {
	if refused := nc.LastError(); errors.Is(refused, nats.ErrPermissionViolation) && ExitCode(clientError(err, "")) == ExitTimeout {
		err = refused
	}
	return clientError(err, "request to "+clean(subject))
}

func (r *requester) one(ctx context.Context, nc *nats.Conn, m *nats.Msg, out *bufio.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	start := time.Now()
	reply, err := nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return err
	}
	return r.take(reply, time.Since(start), out)
}

// many gathers replies until there are enough or the time is over.
func (r *requester) many(ctx context.Context, nc *nats.Conn, m *nats.Msg, out *bufio.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	m.Reply = nc.NewInbox()
	sub, err := nc.SubscribeSync(m.Reply)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	start := time.Now()
	if err := nc.PublishMsg(m); err != nil {
		return err
	}
	for got := 0; r.replies == 0 || got < r.replies; got++ {
		reply, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, context.DeadlineExceeded) && r.replies == 0 && got > 0 {
			return nil
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%d replies: %w", got, err)
		}
		if err != nil {
			return err
		}
		if len(reply.Data) == 0 && reply.Header.Get("Status") == "503" {
			return nats.ErrNoResponders
		}
		if err := r.take(reply, time.Since(start), out); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// take prints a reply; one that reports a failure of the service is an error.
func (r *requester) take(reply *nats.Msg, rtt time.Duration, out *bufio.Writer) error {
	if err := r.output.write(out, reply, rtt); err != nil {
		return err
	}
	if text := reply.Header.Get("Nats-Service-Error"); text != "" {
		return exitf(ExitFailure, "the service failed: %s", clean(text))
	}
	return nil
}
