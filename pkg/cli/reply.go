package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
)

// defaultReplyQueue is the group that other tools' responders use as well, so
// that several responders share the requests and one answers each.
const defaultReplyQueue = "NATS-RPLY-22"

type responder struct {
	connection
	output
	headers []string
	queue   string
	count   int
	timeout time.Duration
	echo    bool
	command string
	closed  chan struct{}
}

func newReply(exe string) *cobra.Command {
	r := &responder{closed: make(chan struct{})}
	cmd := &cobra.Command{
		Use:   "reply SUBJECT [PAYLOAD]",
		Short: "Answer requests",
		Long: `Answer each request on a subject: with a fixed payload, with the request
itself (--echo), or with what a command prints (--command). Responders share a
queue group unless told otherwise, so one of them answers each request.

The command is run by /bin/sh with the request's payload on stdin and
REQUEST_SUBJECT in its environment; when it fails the requester sees the header
Nats-Service-Error. Requests are answered one after the other.

With --json, --raw or --show-headers the requests are printed on stdout.

` + exitCodesHelp,
		Example: example(exe, `reply svc.greet "hello"
reply svc.echo --echo
reply svc.time --command date
reply svc.once done --count 1 --timeout 30s`),
		Args: usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args) },
	}
	r.connection.register(cmd)
	r.output.register(cmd)
	f := cmd.Flags()
	f.StringArrayVarP(&r.headers, "header", "H", nil, "header `\"Name: value\"` of the replies; may be given several times")
	f.StringVar(&r.queue, "queue", defaultReplyQueue, "be a member of this queue `group`; \"\" for none")
	f.IntVarP(&r.count, "count", "n", 0, "end after this many requests")
	f.DurationVarP(&r.timeout, "timeout", "t", 0, "end when no request came for this time")
	addSwitch(f, &r.echo, "echo", "", "answer with the request's payload and headers")
	f.StringVar(&r.command, "command", "", "answer with what this shell `command` prints")
	return cmd
}

func (r *responder) run(cmd *cobra.Command, args []string) error {
	header, err := r.check(args)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	nc, err := r.dial(ctx, cmd, silentErrors(), nats.ClosedHandler(func(*nats.Conn) { close(r.closed) }))
	if err != nil {
		return err
	}
	defer nc.Close()
	answer := r.answerer(args, header)
	out := bufio.NewWriter(cmd.OutOrStdout())
	var taken atomic.Int64
	seen := make(chan error)
	done := make(chan struct{})
	defer close(done)
	sub, err := nc.QueueSubscribe(args[0], r.queue, func(m *nats.Msg) {
		if n := taken.Add(1); r.count > 0 && n > int64(r.count) {
			return
		}
		select {
		case seen <- r.serve(ctx, cmd, m, answer, out):
		case <-done:
		}
	})
	if err != nil {
		return clientError(err, "subscribing to "+clean(args[0]))
	}
	if r.count > 0 {
		if err := sub.AutoUnsubscribe(r.count); err != nil {
			return clientError(err, "subscribing to "+clean(args[0]))
		}
	}
	if err := settle(nc, 0, "subscribing to "+clean(args[0])); err != nil {
		return err
	}
	r.notef(cmd, "answering requests on %s", clean(args[0]))
	return r.wait(ctx, nc, seen)
}

func (r *responder) check(args []string) (nats.Header, error) {
	if err := r.output.check(); err != nil {
		return nil, err
	}
	ways := len(args) - 1
	if r.echo {
		ways++
	}
	if r.command != "" {
		ways++
	}
	switch {
	case ways > 1:
		return nil, usagef("a payload, --echo and --command exclude each other")
	case r.count < 0 || r.timeout < 0:
		return nil, usagef("--count and --timeout: not below 0")
	}
	if err := subscribable(args[0], r.queue); err != nil {
		return nil, err
	}
	return parseHeaders(r.headers)
}

// wait counts requests until there were enough.
func (r *responder) wait(ctx context.Context, nc *nats.Conn, seen <-chan error) error {
	var idle <-chan time.Time
	var timer *time.Timer
	if r.timeout > 0 {
		timer = time.NewTimer(r.timeout)
		defer timer.Stop()
		idle = timer.C
	}
	got := 0
	for {
		select {
		case err := <-seen:
			if err != nil {
				return err
			}
			if got++; r.count > 0 && got == r.count {
				return settle(nc, 0, "sending the last reply")
			}
			if timer != nil {
				timer.Reset(r.timeout)
			}
		case <-idle:
			if err := settle(nc, 0, "sending the last reply"); err != nil {
				return err
			}
			if got == 0 || r.count > 0 {
				return exitf(ExitTimeout, "%d requests, then none for %s", got, r.timeout)
			}
			return nil
		case <-r.closed:
			return closedError(nc)
		case <-ctx.Done():
			_ = settle(nc, 0, "")
			if r.count > 0 {
				return exit(ExitInterrupted, nil)
			}
			return nil
		}
	}
}

// serve answers one request and prints it when that is wanted.
func (r *responder) serve(ctx context.Context, cmd *cobra.Command, m *nats.Msg, answer answerFunc, out *bufio.Writer) error {
	if m.Reply != "" {
		reply := answer(ctx, m)
		if err := m.RespondMsg(reply); errors.Is(err, nats.ErrMaxPayload) {
			r.warnf(cmd, "the reply to %s has %d bytes, more than the server takes", clean(m.Subject), len(reply.Data))
			if err := m.RespondMsg(failure("the reply is too large")); err != nil {
				return clientError(err, "replying")
			}
		} else if err != nil {
			return clientError(err, "replying")
		}
	}
	if !r.output.json && !r.output.raw && !r.output.headers {
		return nil
	}
	if err := r.output.write(out, m, 0); err != nil {
		return err
	}
	return out.Flush()
}

type answerFunc func(context.Context, *nats.Msg) *nats.Msg

func (r *responder) answerer(args []string, header nats.Header) answerFunc {
	switch {
	case r.echo:
		return func(_ context.Context, m *nats.Msg) *nats.Msg {
			h := nats.Header{}
			for k, v := range m.Header {
				h[k] = v
			}
			for k, v := range header {
				h[k] = v
			}
			return &nats.Msg{Header: h, Data: m.Data}
		}
	case r.command != "":
		return func(ctx context.Context, m *nats.Msg) *nats.Msg { return r.shell(ctx, m, header) }
	}
	var data []byte
	if len(args) > 1 {
		data = []byte(args[1])
	}
	return func(context.Context, *nats.Msg) *nats.Msg { return &nats.Msg{Header: header, Data: data} }
}

// shell never puts anything of the request on the command line: what a
// stranger sends is data for the command, not part of it.
func (r *responder) shell(ctx context.Context, m *nats.Msg, header nats.Header) *nats.Msg {
	c := exec.CommandContext(ctx, "/bin/sh", "-c", r.command)
	c.Stdin = bytes.NewReader(m.Data)
	c.Env = append(os.Environ(), "REQUEST_SUBJECT="+m.Subject)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		reply := failure(fmt.Sprintf("command failed: %v", err))
		reply.Data = out
		return reply
	}
	return &nats.Msg{Header: header, Data: out}
}

func failure(text string) *nats.Msg {
	return &nats.Msg{Header: nats.Header{"Nats-Service-Error": {text}, "Nats-Service-Error-Code": {"500"}}}
}
