// Package question asks services in accounts and takes the first answer: those that
// decide about logins ([callout.Ask]).
//
// The package may import system and what that may, and auth/callout.
package question

import (
	"context"
	"crypto/rand"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/auth/callout"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/system"
	"github.com/banyanmq/banyan/pkg/wire"
)

// A service that is not there may be about to come, or a route to it: interest is
// looked for a few times before logins are sent away.
const (
	lookEvery = 20 * time.Millisecond
	lookFor   = 500 * time.Millisecond
)

// Service asks in the name of this server. It is a [callout.Ask] once it was
// started.
type Service struct {
	b      *broker.Broker
	inbox  string // up to its last dot
	caller *callout.Caller

	listening sync.Mutex     // held while an account is added to heard
	client    *system.Client // nil before the first question
	closed    bool
	heard     map[string]bool // accounts where answers can come in

	mu      sync.Mutex
	waiting map[string]chan<- []byte // by the last token of where the answer goes
}

// New makes a Service for a Caller.
func New(s *link.Server, b *broker.Broker, c *callout.Caller) *Service {
	return &Service{
		b: b, caller: c, inbox: "$SYS._INBOX." + wire.NameHash(s.ID, 8) + ".",
		waiting: make(map[string]chan<- []byte), heard: make(map[string]bool),
	}
}

// Start lets the Caller ask.
func (s *Service) Start() error {
	s.caller.SetAsk(s.Ask)
	return nil
}

// Addr is nil: nothing is listened on.
func (s *Service) Addr() *net.TCPAddr { return nil }

// Close ends the questions that are under way. It may be called without Start.
func (s *Service) Close() {
	s.caller.SetAsk(nil)
	s.caller.Close()
	s.listening.Lock()
	defer s.listening.Unlock()
	s.closed = true
	if s.client != nil {
		s.client.Close()
	}
}

// Ask implements callout.Ask.
func (s *Service) Ask(ctx context.Context, account string, header, payload []byte) ([]byte, error) {
	a := s.b.Account(account)
	if !s.listen(a) {
		return nil, callout.ErrNobody
	}
	token := rand.Text()[:20] // nobody else is to guess it
	answer := make(chan []byte, 1)
	s.mu.Lock()
	s.waiting[token] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, token)
		s.mu.Unlock()
	}()
	if err := s.publish(ctx, a, s.inbox+token, header, payload); err != nil {
		return nil, err
	}
	select {
	case b := <-answer:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listen asks for answers in an account, once; false: it is too late.
func (s *Service) listen(a *broker.Account) bool {
	s.listening.Lock()
	defer s.listening.Unlock()
	if s.closed || s.heard[a.Name] {
		return !s.closed
	}
	if s.client == nil {
		s.client = system.NewClient(s.b, 0)
	}
	s.heard[a.Name] = true
	s.client.Subscribe(a, s.inbox+"*", system.SubOptions{}, func(r *system.Request) {
		token := r.Subject[strings.LastIndexByte(r.Subject, '.')+1:]
		s.mu.Lock()
		to := s.waiting[token]
		delete(s.waiting, token)
		s.mu.Unlock()
		if to != nil {
			to <- r.Payload
		}
	})
	return true
}

// publish sends a request as soon as somebody listens.
func (s *Service) publish(ctx context.Context, a *broker.Account, reply string, header, payload []byte) error {
	give := time.Now().Add(lookFor)
	for s.client.Publish(a, callout.Subject, reply, header, payload) == 0 {
		if time.Now().After(give) {
			return callout.ErrNobody
		}
		t := time.NewTimer(lookEvery)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
	return nil
}
