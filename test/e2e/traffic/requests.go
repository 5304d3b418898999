package traffic

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Requests asks n times, each with an inbox of its own that is subscribed to just before, workers at a time. It returns an
// error when a request had no answer, another one's, or more than one.
func Requests(ctx context.Context, nc *nats.Conn, subject string, n, workers int, patience time.Duration) error {
	next := atomic.Int64{}
	var mu sync.Mutex
	var errs []error
	var subs []*nats.Subscription
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(n) || ctx.Err() != nil {
					return
				}
				s, err := ask(nc, subject, fmt.Sprintf("question %d", i), patience)
				mu.Lock()
				if s != nil {
					subs = append(subs, s)
				}
				if err != nil {
					errs = append(errs, fmt.Errorf("request %d of %d: %w", i, n, err))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		errs = append(errs, context.Cause(ctx))
	}
	// A second answer was sent by the same responder as the first or at the same time by another: one round trip later it is
	// here.
	if err := nc.FlushTimeout(patience); err != nil {
		errs = append(errs, err)
	}
	for _, s := range subs {
		if m, err := s.NextMsg(time.Millisecond); err == nil {
			errs = append(errs, fmt.Errorf("a second answer: %q", m.Data))
		}
		_ = s.Unsubscribe()
	}
	if len(errs) > 5 {
		errs = append(errs[:5], fmt.Errorf("and %d more", len(errs)-5))
	}
	return errors.Join(errs...)
}

func ask(nc *nats.Conn, subject, question string, patience time.Duration) (*nats.Subscription, error) {
	inbox := nc.NewInbox()
	s, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	if err := nc.PublishRequest(subject, inbox, []byte(question)); err != nil {
		return s, err
	}
	m, err := s.NextMsg(patience)
	if err != nil {
		return s, err
	}
	if m.Header.Get("Status") != "" {
		return s, fmt.Errorf("answered with status %s", m.Header.Get("Status"))
	}
	if want := "answer to " + question; string(m.Data) != want {
		return s, fmt.Errorf("answered %q, want %q", m.Data, want)
	}
	return s, nil
}

// Serve answers requests as [Requests] wants it, and counts them.
func Serve(nc *nats.Conn, subject, queue string) (*atomic.Int64, *nats.Subscription, error) {
	n := new(atomic.Int64)
	s, err := nc.QueueSubscribe(subject, queue, func(m *nats.Msg) {
		n.Add(1)
		_ = m.Respond([]byte("answer to " + string(m.Data)))
	})
	if err != nil {
		return nil, nil, err
	}
	return n, s, nc.Flush()
}
