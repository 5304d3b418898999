package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/banyanmq/banyan/pkg/config"
)

// Bounds of comparisons with hashes.
const (
	maxWaiting     = 1024 // logins that wait for one
	maxWaitingEach = 16   // of one address: about as many as can be told before clients give up
	maxVerified    = 4096
	verifiedFor    = time.Hour
)

// hashing bounds how many bcrypt comparisons run at once, so that a storm of
// logins leaves processors for messages, and how many logins wait for one. Addresses
// take turns. Of one address those go first to be turned away whose name waits most
// often; whether there is a user of that name makes no difference. Who has shown the
// right password lately does not wait: a keyed hash of it is kept for a while.
type hashing struct {
	compare func(hash, shown []byte) bool

	mu       sync.Mutex
	free     int
	waiting  int
	turns    []*waitingRoom // that have somebody, the next one first
	rooms    map[netip.Addr]*waitingRoom
	secret   [sha256.Size]byte
	verified map[[sha256.Size]byte]time.Time // until when
}

// waitingRoom has the logins of one address, the longest waiting first.
type waitingRoom struct {
	of   netip.Addr
	list []*waiter
}

type waiter struct {
	name string
	turn chan bool // false: turned away
}

func newHashing() *hashing {
	h := &hashing{
		free: max(1, runtime.GOMAXPROCS(0)-1), rooms: make(map[netip.Addr]*waitingRoom),
		verified: make(map[[sha256.Size]byte]time.Time),
		compare:  func(hash, shown []byte) bool { return bcrypt.CompareHashAndPassword(hash, shown) == nil },
	}
	_, _ = rand.Read(h.secret[:])
	return h
}

// matches compares with a hash. lately: it is enough that both were the same before;
// not so where the login fails all the same, lest time tells that the password was right.
// The error wraps ErrUnavailable: too many wait.
func (h *hashing) matches(hash config.Secret, shown string, c *Credentials, lately bool) (bool, error) {
	key := h.key(string(hash), shown)
	if lately && h.known(key) {
		return true, nil
	}
	if !h.enter(c) {
		return false, fmt.Errorf("%w: too many passwords wait to be compared", ErrUnavailable)
	}
	defer h.leave()
	if !h.compare([]byte(hash), []byte(shown)) {
		return false, nil
	}
	if lately {
		h.remember(key)
	}
	return true, nil
}

func (h *hashing) key(hash, shown string) (key [sha256.Size]byte) {
	d := sha256.New()
	d.Write(h.secret[:])
	d.Write(binary.BigEndian.AppendUint64(nil, uint64(len(hash))))
	d.Write([]byte(hash))
	d.Write([]byte(shown))
	d.Sum(key[:0])
	return key
}

func (h *hashing) known(key [sha256.Size]byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	until, ok := h.verified[key]
	if ok && time.Now().After(until) {
		delete(h.verified, key)
		return false
	}
	return ok
}

func (h *hashing) remember(key [sha256.Size]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k := range h.verified {
		if len(h.verified) < maxVerified {
			break
		}
		delete(h.verified, k) // whichever
	}
	h.verified[key] = time.Now().Add(verifiedFor)
}

// enter waits for a turn; false: there is no room to wait.
func (h *hashing) enter(c *Credentials) bool {
	h.mu.Lock()
	if h.free > 0 {
		h.free--
		h.mu.Unlock()
		return true
	}
	w := &waiter{name: c.User, turn: make(chan bool, 1)}
	ok := h.admit(w, c)
	h.mu.Unlock()
	return ok && <-w.turn
}

// admit puts w into the waiting room of its address. h.mu is held.
func (h *hashing) admit(w *waiter, c *Credentials) bool {
	of := source(c.Remote)
	if c.reviewed {
		of = netip.Addr{}
	}
	r := h.rooms[of]
	if !c.reviewed {
		if r != nil && len(r.list) >= maxWaitingEach {
			return r.replace(w)
		}
		if h.waiting >= maxWaiting {
			return false
		}
	}
	if r == nil {
		r = &waitingRoom{of: of}
		h.rooms[of] = r
		h.turns = append(h.turns, r)
	}
	r.list = append(r.list, w)
	h.waiting++
	return true
}

// replace gives w the place of the last one of the name that waits most often, unless
// w's own does.
func (r *waitingRoom) replace(w *waiter) bool {
	count := make(map[string]int, len(r.list))
	for _, x := range r.list {
		count[x.name]++
	}
	at := -1
	for i, x := range r.list {
		if at < 0 || count[x.name] >= count[r.list[at].name] {
			at = i
		}
	}
	if count[r.list[at].name] <= count[w.name]+1 {
		return false
	}
	r.list[at].turn <- false
	r.list[at] = w
	return true
}

// leave hands the place on to the next address.
func (h *hashing) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.turns) == 0 {
		h.free++
		return
	}
	r := h.turns[0]
	h.turns = h.turns[1:]
	w := r.list[0]
	r.list = r.list[1:]
	if len(r.list) > 0 {
		h.turns = append(h.turns, r)
	} else {
		delete(h.rooms, r.of)
	}
	h.waiting--
	w.turn <- true
}
