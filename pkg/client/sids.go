package client

import (
	"hash/maphash"

	"github.com/banyanmq/banyan/pkg/broker"
)

// sids finds many subscriptions of one connection by their sid. A subscription takes
// a pointer's room and a half on average; a map, with its keys, takes six times as much.
// A large one is divided into shards that grow one at a time, so that no SUB takes long.
type sids struct {
	seed   maphash.Seed
	shards []sidShard // one, or sidShards
	n      int
}

const (
	sidShards = 256
	sidsWhole = 4096 // up to so many are in one shard
)

// sidShard is a hash table with linear probing, less than three quarters full.
type sidShard struct {
	slots []*broker.Sub // as many as a power of two
	n     int
}

func newSids() *sids { return &sids{seed: maphash.MakeSeed(), shards: make([]sidShard, 1)} }

func (t *sids) shard(sid string) (*sidShard, uint64) {
	h := maphash.String(t.seed, sid)
	return &t.shards[h&uint64(len(t.shards)-1)], h / sidShards
}

// find returns the place of sid, or the free one where it would be.
func (s *sidShard) find(sid string, h uint64) int {
	mask := len(s.slots) - 1
	i := int(h) & mask
	for s.slots[i] != nil && s.slots[i].SID != sid {
		i = (i + 1) & mask
	}
	return i
}

func (t *sids) get(sid string) *broker.Sub {
	s, h := t.shard(sid)
	if s.n == 0 {
		return nil
	}
	return s.slots[s.find(sid, h)]
}

// put adds sub, or puts it in place of the one that has its sid.
func (t *sids) put(sub *broker.Sub) {
	if t.n == sidsWhole && len(t.shards) == 1 {
		t.divide()
	}
	s, h := t.shard(sub.SID)
	if 4*(s.n+1) > 3*len(s.slots) {
		t.resize(s, max(8, 2*len(s.slots)))
	}
	i := s.find(sub.SID, h)
	if s.slots[i] == nil {
		s.n++
		t.n++
	}
	s.slots[i] = sub
}

func (t *sids) divide() {
	all := t.shards[0].slots
	t.shards, t.n = make([]sidShard, sidShards), 0
	for _, x := range all {
		if x != nil {
			t.put(x)
		}
	}
}

func (t *sids) resize(s *sidShard, size int) {
	old := s.slots
	s.slots = make([]*broker.Sub, size)
	for _, x := range old {
		if x != nil {
			_, h := t.shard(x.SID)
			s.slots[s.find(x.SID, h)] = x
		}
	}
}

// remove takes sub away if it is the one that has its sid.
func (t *sids) remove(sub *broker.Sub) {
	s, h := t.shard(sub.SID)
	if s.n == 0 {
		return
	}
	i := s.find(sub.SID, h)
	if s.slots[i] != sub {
		return
	}
	s.n--
	t.n--
	if len(s.slots) > 64 && 8*s.n < len(s.slots) {
		s.slots[i] = nil
		t.resize(s, len(s.slots)/4)
		return
	}
	// What stands behind the gap and could not have its own place moves up.
	mask := len(s.slots) - 1
	for j := (i + 1) & mask; s.slots[j] != nil; j = (j + 1) & mask {
		_, h := t.shard(s.slots[j].SID)
		if home := int(h) & mask; (j-home)&mask >= (j-i)&mask {
			s.slots[i] = s.slots[j]
			i = j
		}
	}
	s.slots[i] = nil
}

func (t *sids) appendAll(to []*broker.Sub) []*broker.Sub {
	for i := range t.shards {
		for _, x := range t.shards[i].slots {
			if x != nil {
				to = append(to, x)
			}
		}
	}
	return to
}
