package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
)

// What a subscription may hold while stdout is slower than the messages.
const (
	pendingMessages = 1 << 20
	pendingBytes    = 256 << 20
)

type subscriber struct {
	connection
	output
	queue   string
	count   int
	timeout time.Duration
	dropped atomic.Bool
	closed  chan struct{} // the connection is closed for good
}

func newSub(exe string) *cobra.Command {
	s := &subscriber{closed: make(chan struct{})}
	cmd := &cobra.Command{
		Use:   "sub SUBJECT...",
		Short: "Subscribe and print messages",
		Long: `Subscribe to subjects and print what arrives until --count messages came,
nothing came for --timeout, or it is interrupted.

` + outputHelp + `

With --timeout and --count the exit code is 3 when fewer messages came; with
--timeout alone it is 3 when none came. Without --count an interrupt is the
normal end (exit code 0).

` + exitCodesHelp,
		Example: example(exe, `sub "news.>"
sub orders.new --queue workers
sub news.sfo --count 1 --timeout 5s --raw
sub "logs.*" "alerts.>" --json | jq .data`),
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args) },
	}
	s.connection.register(cmd)
	s.output.register(cmd)
	cmd.Flags().StringVar(&s.queue, "queue", "", "be a member of this queue `group`")
	cmd.Flags().IntVarP(&s.count, "count", "n", 0, "end after this many messages")
	cmd.Flags().DurationVarP(&s.timeout, "timeout", "t", 0, "end when no message came for this time")
	return cmd
}

func (s *subscriber) run(cmd *cobra.Command, subjects []string) error {
	if err := s.output.check(); err != nil {
		return err
	}
	if s.count < 0 || s.timeout < 0 {
		return usagef("--count and --timeout: not below 0")
	}
	for _, subject := range subjects {
		if err := subscribable(subject, s.queue); err != nil {
			return err
		}
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	nc, err := s.dial(ctx, cmd,
		nats.ClosedHandler(func(*nats.Conn) { close(s.closed) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrSlowConsumer) && !s.dropped.Swap(true) {
				s.warnf(cmd, "messages come faster than they are printed: some are lost")
			}
		}))
	if err != nil {
		return err
	}
	defer nc.Close()
	messages := make(chan *nats.Msg)
	// Callbacks wait here when the loop below has ended.
	done := make(chan struct{})
	defer close(done)
	for _, subject := range subjects {
		if err := s.subscribe(nc, subject, len(subjects) == 1, messages, done); err != nil {
			return clientError(err, "subscribing to "+clean(subject))
		}
		if err := settle(nc, 0, "subscribing to "+clean(subject)); err != nil {
			return err
		}
		s.notef(cmd, "subscribed to %s", clean(subject))
	}
	return s.print(ctx, cmd, nc, messages)
}

func (s *subscriber) subscribe(nc *nats.Conn, subject string, alone bool, messages chan<- *nats.Msg, done <-chan struct{}) error {
	sub, err := nc.QueueSubscribe(subject, s.queue, func(m *nats.Msg) {
		select {
		case messages <- m:
		case <-done:
		}
	})
	if err != nil {
		return err
	}
	if err := sub.SetPendingLimits(pendingMessages, pendingBytes); err != nil {
		return err
	}
	// The server stops after the last one, so that a member of a queue group
	// takes no message away from the others that it would throw away.
	if s.count > 0 && alone {
		return sub.AutoUnsubscribe(s.count)
	}
	return nil
}

func (s *subscriber) print(ctx context.Context, cmd *cobra.Command, nc *nats.Conn, messages <-chan *nats.Msg) error {
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
	start, got, bytes := time.Now(), 0, 0
	end := func(code int, err error) error {
		if ferr := out.Flush(); ferr != nil && code == ExitOK {
			return ferr
		}
		s.notef(cmd, "received %d messages, %d bytes, in %s", got, bytes, time.Since(start).Round(time.Millisecond))
		if code == ExitOK && s.dropped.Load() {
			return exitf(ExitFailure, "some messages were lost on the way to stdout")
		}
		if code == ExitOK {
			return nil
		}
		return exit(code, err)
	}
	var idle <-chan time.Time
	var timer *time.Timer
	if s.timeout > 0 {
		timer = time.NewTimer(s.timeout)
		defer timer.Stop()
		idle = timer.C
	}
	for {
		var m *nats.Msg
		select {
		case m = <-messages:
		default:
			// Nothing waits: let the reader see what there is.
			if err := out.Flush(); err != nil {
				return err
			}
			select {
			case m = <-messages:
			case <-idle:
				if got == 0 || s.count > 0 {
					return end(ExitTimeout, timeoutError(got, s.count, s.timeout))
				}
				return end(ExitOK, nil)
			case <-s.closed:
				return end(ExitConnection, closedError(nc))
			case <-ctx.Done():
				if s.count > 0 {
					return end(ExitInterrupted, nil)
				}
				return end(ExitOK, nil)
			}
		}
		if err := s.output.write(out, m, 0); err != nil {
			return err
		}
		got++
		bytes += len(m.Data)
		if s.count > 0 && got >= s.count {
			return end(ExitOK, nil)
		}
		if timer != nil {
			timer.Reset(s.timeout)
		}
	}
}

func timeoutError(got, want int, after time.Duration) error {
	if want == 0 {
		return fmt.Errorf("no message within %s", after)
	}
	return fmt.Errorf("%d of %d messages, then none for %s", got, want, after)
}

// closedError says why the client library gave the connection up.
func closedError(nc *nats.Conn) error {
	err := nc.LastError()
	if err == nil {
		err = nats.ErrConnectionClosed
	}
	return clientError(err, "the connection ended")
}
