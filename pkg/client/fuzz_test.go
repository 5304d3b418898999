package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banyanmq/banyan/pkg/config"
)

// FuzzConnection hands a whole connection's bytes to a client in two pieces: no
// panic, no more wanted than the limits admit, nothing left behind, and either
// the connection ends or it stays in step, so that a PING behind whole
// operations is answered. Its seeds are what is sent in the dialogues.
func FuzzConnection(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, block := range strings.Split(string(b), "\n\n") {
			if _, said, ok := strings.Cut(block, "\n"); ok && strings.HasPrefix(block, "send ") {
				said, _, _ = strings.Cut(said, "\n----")
				f.Add([]byte(unescape(said)), uint16(len(said)/2), len(said)%2 == 0)
			}
		}
	}
	const maxLine, maxPayload = 512, 1024
	limits := func(c *config.Config) {
		c.Limits.MaxControlLine, c.Limits.MaxPayload, c.Limits.MaxSubscriptions = maxLine, maxPayload, 50
	}
	open := startHub(f, limits)
	users := startHub(f, limits, testUsers)
	f.Fuzz(func(t *testing.T, b []byte, cut uint16, auth bool) {
		h := open
		if auth {
			h = users
		}
		d := &dialogue{t: &testing.T{}, hub: h, parts: make(map[string]*part)}
		d.accept("a")
		p := d.parts["a"]
		p.read(t)
		at := min(int(cut), len(b))
		p.feed(b[:at])
		p.feed(b[at:])
		if p.need > maxLine+maxPayload+64 {
			t.Errorf("wants %d bytes", p.need)
		}
		if n := len(p.rest); n > 65536+maxLine+maxPayload+64 {
			t.Errorf("holds %d bytes", n)
		}
		if !p.done && len(p.rest) == 0 && p.connected {
			p.read(t)
			p.feed([]byte("PING\r\n"))
			if got := p.read(t); !p.done && !strings.Contains(got, "PONG\r\n") {
				t.Errorf("no PONG: %q", got)
			}
		}
		if !p.done {
			p.finish(nil)
		}
		p.peer.Close()
		for _, name := range []string{"$G", "A", "SYS"} {
			if n := h.broker.Account(name).Subscriptions(); n != 0 {
				t.Errorf("%d subscriptions left in %s", n, name)
			}
		}
		if n := h.registry.Len(); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
}
