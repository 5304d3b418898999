package auth

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/banyanmq/banyan/pkg/config"
)

// slowly is settings with some users whose passwords, "right", are hashed, and whose
// comparisons wait for next, which lets one go on.
func slowly(t *testing.T, users ...string) (s *Settings, next func(), compared *atomic.Int64) {
	t.Helper()
	c := &config.Config{}
	for _, u := range users {
		h, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		c.Auth.Users = append(c.Auth.Users, config.User{Name: u, Password: config.Secret(h)})
	}
	s, compared = FromConfig(c), new(atomic.Int64)
	gate := make(chan struct{})
	s.hash.free = 1
	s.hash.compare = func(_, shown []byte) bool {
		<-gate
		compared.Add(1)
		return string(shown) == "right"
	}
	return s, func() { gate <- struct{}{} }, compared
}

func (h *hashing) waitFor(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		h.mu.Lock()
		now := h.waiting
		h.mu.Unlock()
		if now == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d wait instead of %d", now, n)
		}
	}
}

// A storm of failures from one address neither piles up nor keeps others from logging in,
// of that address or of another; who logged in lately does not wait at all.
func TestStormOfPasswords(t *testing.T) {
	s, next, compared := slowly(t, "victim", "good", "known")
	login := func(user, pass, ip string) error {
		_, err := s.Authenticate(&Credentials{Kind: config.Standard, User: user, Pass: pass, Remote: from(ip)})
		return err
	}
	done := make(chan error, 1)
	go func() { done <- login("known", "right", "10.0.0.1") }()
	next()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var refused, away atomic.Int64
	const storm = 200
	for range storm {
		wg.Go(func() {
			switch err := login("victim", "wrong", "10.0.0.1"); {
			case errors.Is(err, ErrRefused):
				refused.Add(1)
			case errors.Is(err, ErrUnavailable):
				away.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	s.hash.waitFor(t, maxWaitingEach)
	for end := time.Now().Add(10 * time.Second); away.Load() < storm-maxWaitingEach-1 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if err := login("known", "right", "10.0.0.1"); err != nil {
		t.Errorf("who logged in lately: %v", err)
	}
	good := make(chan string, 2)
	for _, ip := range []string{"10.0.0.2", "10.0.0.1"} {
		wg.Go(func() {
			if err := login("good", "right", ip); err != nil {
				t.Errorf("%s: %v", ip, err)
			}
			good <- ip
		})
		if ip == "10.0.0.2" {
			s.hash.waitFor(t, maxWaitingEach+1)
		}
	}
	for end := time.Now().Add(10 * time.Second); away.Load() < storm-maxWaitingEach && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	for range 3 { // the one under way, the storm's first, and the other address's
		next()
	}
	if ip := <-good; ip != "10.0.0.2" {
		t.Errorf("first in was %s", ip)
	}
	for range maxWaitingEach - 1 {
		next()
	}
	wg.Wait()
	if n := compared.Load(); refused.Load()+away.Load() != storm || n > maxWaitingEach+4 || s.hash.free != 1 || s.hash.waiting != 0 || len(s.hash.rooms) != 0 {
		t.Errorf("%d compared, %d refused, %d turned away, %d places, %d wait in %d rooms",
			n, refused.Load(), away.Load(), s.hash.free, s.hash.waiting, len(s.hash.rooms))
	}
	go next()
	if login("known", "wrong", "10.0.0.3") == nil {
		t.Error("a wrong password is let in")
	}
}

// Those that were let in before are judged whoever else waits.
func TestReviewIsNotTurnedAway(t *testing.T) {
	s, next, _ := slowly(t, "u")
	var wg sync.WaitGroup
	for i := range maxWaiting/maxWaitingEach*maxWaitingEach + 1 {
		wg.Go(func() {
			s.Authenticate(&Credentials{Kind: config.Standard, User: "x", Remote: from(fmt.Sprintf("10.0.1.%d", i/maxWaitingEach))})
		})
	}
	s.hash.waitFor(t, maxWaiting)
	if _, err := s.Authenticate(&Credentials{Kind: config.Standard, User: "u", Pass: "right", Remote: from("10.9.9.9")}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("one too many: %v", err)
	}
	wg.Go(func() {
		g := &generation{settings: s, front: s}
		if _, err := g.authenticate(&Credentials{Kind: config.Standard, User: "u", Pass: "right", Remote: from("10.9.9.9")}); err != nil {
			t.Error(err)
		}
	})
	s.hash.waitFor(t, maxWaiting+1)
	for range maxWaiting + 2 {
		next()
	}
	wg.Wait()
}
