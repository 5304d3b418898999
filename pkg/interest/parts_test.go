package interest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func (t *table) holds(hash, node uint32) bool {
	if len(t.dir) == 0 {
		return false
	}
	slots := t.dir[hash>>t.shift].slots
	mask := uint32(len(slots) - 1)
	for i := hash; slots[i&mask].node != 0; i++ {
		if slots[i&mask] == (slot{hash, node}) {
			return true
		}
	}
	return false
}

// Many nodes over few hashes and few over many: runs wrap, segments split with
// everything on one side, removal closes gaps.
func TestTableAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		spread := rapid.SampledFrom([]uint32{1 << 20, 1 << 28, 1<<32 - 1}).Draw(t, "spread")
		n := rapid.SampledFrom([]uint32{5, 50, 3000, 10_000}).Draw(t, "n")
		rng := rand.New(rand.NewPCG(seed, 1))
		var tab table
		hashes := make([]uint32, n+1)
		for id := uint32(1); id <= n; id++ {
			hashes[id] = rng.Uint32N(spread)
			if rng.IntN(20) == 0 {
				hashes[id] = hashes[1]
			}
			tab.insert(hashes[id], id)
		}
		gone := make([]bool, n+1)
		check := func() {
			for id := uint32(1); id <= n; id++ {
				if tab.holds(hashes[id], id) == gone[id] {
					t.Fatalf("node %d of %d: gone %v", id, n, gone[id])
				}
			}
		}
		check()
		for i, id := range rng.Perm(int(n)) {
			gone[id+1] = true
			tab.remove(hashes[id+1], uint32(id+1))
			if i == int(n)/2 || i == int(n)/10 {
				check()
			}
		}
		check()
		for _, s := range tab.dir {
			if s.used != 0 {
				t.Fatalf("%d slots used at the end", s.used)
			}
		}
	})
}

// Hashes that never differ must not blow up the directory.
func TestTableOfEqualHashes(t *testing.T) {
	var tab table
	for id := uint32(1); id <= 4000; id++ {
		tab.insert(0xfffffff0, id)
	}
	if len(tab.dir) > 1<<maxDepth {
		t.Fatalf("directory of %d", len(tab.dir))
	}
	for id := uint32(1); id <= 4000; id++ {
		if !tab.holds(0xfffffff0, id) {
			t.Fatalf("node %d is lost", id)
		}
		tab.remove(0xfffffff0, id)
	}
}

func TestArenaAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type block struct {
			ref  uint32
			data []byte
		}
		var a arena
		var blocks []block
		fill := byte(0)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				size := rapid.OneOf(rapid.IntRange(1, 100), rapid.SampledFrom([]int{4096, 30_000, 65_536, 65_537, 200_000})).Draw(t, "size")
				fill++
				data := bytes.Repeat([]byte{fill}, size)
				blocks = append(blocks, block{a.put(data), data})
			},
			"release": func(t *rapid.T) {
				if len(blocks) == 0 {
					t.Skip("empty")
				}
				i := rapid.IntRange(0, len(blocks)-1).Draw(t, "i")
				a.release(blocks[i].ref, len(blocks[i].data))
				blocks = append(blocks[:i], blocks[i+1:]...)
			},
			"": func(t *rapid.T) {
				live := 0
				for _, b := range blocks {
					live += arenaUnits(len(b.data)) * arenaUnit
					if !bytes.Equal(a.at(b.ref, len(b.data)), b.data) {
						t.Fatalf("block of %d bytes at %d has changed", len(b.data), b.ref)
					}
				}
				size := 0
				for _, c := range a.chunks {
					size += len(c)
				}
				if live != a.live || size != a.size {
					t.Fatalf("live %d, want %d; size %d, want %d", a.live, live, a.size, size)
				}
			},
		})
	})
}

// A key and a node hold short tokens alike, and tokens that differ have keys
// that differ.
func TestKeys(t *testing.T) {
	h := newHasher()
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.SliceOfN(rapid.SampledFrom([]byte("ab\x00\xff")), 1, 14)
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		var ka, kb key
		h.key(&ka, append([]byte("noise"), a...)[5:])
		h.key(&kb, b)
		same := len(a) == len(b) && ka.lo == kb.lo && ka.hi == kb.hi
		if max(len(a), len(b)) <= inlineToken && same != bytes.Equal(a, b) {
			t.Fatalf("keys of %q and %q: same %v", a, b, same)
		}
		if bytes.Equal(a, b) != (ka.hash == kb.hash) {
			t.Fatalf("hashes of %q and %q", a, b)
		}
		x := New[int]()
		x.Insert(a, 1)
		n := x.cur.nodes.at(1)
		if !bytes.Equal(x.cur.token(n), a) {
			t.Fatalf("node of %q holds %q", a, x.cur.token(n))
		}
	})
}

// A table may hold a stranger under the very hash that is looked for; the node
// must be recognised by its parent and token.
func TestEqualHashesAreToldApart(t *testing.T) {
	for _, c := range []struct{ stranger, wanted string }{
		{"abc", "abd"},
		{"abc", "ab"},
		{"ab\x00", "ab"},
		{"ab", "ab\x00"},
		{"elevenbytes", "elevenbytez"},
		{"twelve bytes", "twelve bytez"},
		{"more than twelve bytes", "more than twelve bytez"},
		{"more than twelve bytes", "more tha"},
		{"x.abc", "abc"},
		{"x.more than twelve bytes", "more than twelve bytes"},
	} {
		x := New[int]()
		x.Insert([]byte(c.stranger), 1)
		var k key
		x.hasher.key(&k, []byte(c.wanted))
		x.cur.table.insert(k.slot(0), x.cur.find([]byte(c.stranger)))
		if got := sortedMatch(x, c.wanted); len(got) != 0 {
			t.Errorf("%q before it is there: %v", c.wanted, got)
		}
		x.Insert([]byte(c.wanted), 2)
		if got := sortedMatch(x, c.wanted); len(got) != 1 || got[0] != 2 {
			t.Errorf("%q beside %q: %v", c.wanted, c.stranger, got)
		}
	}
}
