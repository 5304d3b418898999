package claims

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/auth/operator"
	"github.com/banyanmq/banyan/pkg/system"
	"github.com/banyanmq/banyan/pkg/wire"
)

// update takes a token that somebody pushes. account is that of the subject, ""
// if the subject names none.
func (s *Service) update(r *system.Request, account string) {
	token := string(bytes.TrimSpace(r.Payload))
	if token == "" {
		s.deny(r, orNone(account), "jwt update error - request body is empty")
		return
	}
	if account != "" {
		if _, err := s.o.Operator.Judge(account, token); err != nil {
			s.deny(r, account, "jwt update resulted in error - "+err.Error())
			return
		}
	}
	key, u, err := s.o.Operator.Update(token)
	switch {
	case err != nil:
		s.deny(r, orNone(key), "jwt update resulted in error - "+err.Error())
	case s.dir == nil && !u.Applied:
		s.say(r, key, "jwt update skipped")
	case s.dir == nil || s.dir.Full():
		s.say(r, key, "jwt updated")
	case u.Applied || u.Stored:
		s.say(r, key, "jwt updated cache")
	default:
		s.say(r, key, "jwt update cache skipped")
	}
}

func orNone(account string) string {
	if account == "" {
		return "n/a"
	}
	return account
}

func (s *Service) list(r *system.Request) {
	s.reply(r, struct {
		Server system.ServerInfo `json:"server"`
		Data   []string          `json:"data"`
	}{s.info(), s.dir.List()})
}

func (s *Service) remove(r *system.Request) {
	by, n, bad, err := s.o.Operator.Delete(string(bytes.TrimSpace(r.Payload)))
	switch {
	case err != nil:
		s.deny(r, "", fmt.Sprintf("delete accounts request by %s failed - %v", by, err))
	case bad > 0:
		s.deny(r, "", fmt.Sprintf("deleted %d accounts, failed for %d", n, bad))
	default:
		s.say(r, "", fmt.Sprintf("deleted %d accounts", n))
	}
}

// lookup answers another server: with the token, or with nothing.
func (s *Service) lookup(r *system.Request) {
	account := strings.Split(r.Subject, ".")[3]
	if r.Reply == "" || !nkeys.IsValidPublicAccountKey(account) {
		return
	}
	token, _ := s.dir.Fetch(context.Background(), account)
	s.client.Publish(r.Account, r.Reply, "", nil, []byte(token))
}

// pack answers with all accounts, unless who asks has the same ones already.
func (s *Service) pack(r *system.Request) {
	if r.Reply == "" {
		return
	}
	s.packDeletions(r)
	own := s.dir.Hash()
	if !bytes.Equal(r.Payload, own[:]) {
		for _, key := range s.dir.List() {
			if token, err := s.dir.Fetch(context.Background(), key); err == nil {
				s.client.Publish(r.Account, r.Reply, "", nil, []byte(key+"|"+token))
			}
		}
	}
	s.client.Publish(r.Account, r.Reply, "", nil, nil)
}

const packInbox = "pack-"

// exchange asks one other server for what we have not.
func (s *Service) exchange() {
	own := s.dir.Hash()
	s.client.Publish(s.acc, "$SYS.REQ.CLAIMS.PACK", s.inbox+packInbox+random(), s.askDeletions(), own[:])
}

// merge takes what another server has packed. A newer token wins, whoever has it.
func (s *Service) merge(payload []byte) {
	for line := range bytes.Lines(payload) {
		key, token, ok := strings.Cut(string(bytes.TrimSpace(line)), "|")
		if !ok {
			continue
		}
		if err := s.o.Operator.Merge(key, token); err != nil {
			s.o.Log.Debugf("Account %s of another server was not taken: %v", key, err)
		}
	}
}

// question is a look-up that waits for answers.
type question struct {
	answers chan string
}

// linger is how long newer answers may come behind the first.
const linger = 20 * time.Millisecond

// ask asks the servers with full directories for an account's token. The newest
// of what they say counts.
func (s *Service) ask(ctx context.Context, account string) (string, error) {
	name, q := random(), &question{answers: make(chan string, 64)}
	s.mu.Lock()
	s.waiting[name] = q
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, name)
		s.mu.Unlock()
	}()
	asked := s.client.Publish(s.acc, "$SYS.REQ.ACCOUNT."+account+".CLAIMS.LOOKUP", s.inbox+name, nil, nil)
	if asked == 0 {
		return "", operator.ErrUnknown
	}
	best, issued, empty := "", int64(0), 0
	var enough <-chan time.Time
	for {
		select {
		case token := <-q.answers:
			if token == "" {
				if empty++; empty >= asked && best == "" {
					return "", operator.ErrUnknown
				}
				continue
			}
			at, err := s.o.Operator.Judge(account, token)
			if err != nil {
				s.o.Log.Warnf("Account %s: a server's answer is refused: %v", account, err)
				continue
			}
			if best == "" || at > issued {
				best, issued = token, at
			}
			if enough == nil {
				t := time.NewTimer(linger)
				defer t.Stop()
				enough = t.C
			}
		case <-enough:
			return best, nil
		case <-ctx.Done():
			if best != "" {
				return best, nil
			}
			return "", ctx.Err()
		}
	}
}

// answered takes what comes to our inbox.
func (s *Service) answered(r *system.Request) {
	name := r.Subject[len(s.inbox):]
	if strings.HasPrefix(name, packInbox) {
		if _, is := wire.HeaderValue(r.Header, deletionHeader); is {
			s.mergeDeletion(string(bytes.TrimSpace(r.Payload)))
			return
		}
		s.merge(r.Payload)
		return
	}
	s.mu.Lock()
	q := s.waiting[name]
	s.mu.Unlock()
	if q == nil {
		return
	}
	select {
	case q.answers <- string(bytes.TrimSpace(r.Payload)):
	default:
	}
}
