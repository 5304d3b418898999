package monitor

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"sync"

	"github.com/banyanmq/banyan/pkg/logging"
)

// gate bounds the open connections of an HTTP server. Beyond the bound a newcomer takes
// the place of one that has no request under way; if all have, it is closed itself.
type gate struct {
	most int

	mu   sync.Mutex
	open map[net.Conn]http.ConnState
}

// state is http.Server.ConnState.
func (g *gate) state(nc net.Conn, now http.ConnState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now == http.StateHijacked || now == http.StateClosed {
		delete(g.open, nc)
		return
	}
	if now == http.StateNew && len(g.open) >= g.most {
		leaves := g.idle()
		if leaves == nil {
			leaves = nc
		}
		// The server notices and calls again.
		delete(g.open, leaves)
		cutOff(leaves)
		if leaves == nc {
			return
		}
	}
	g.open[nc] = now
}

// idle is a connection without a request, or else one that has said nothing yet; nil if
// there is none. g.mu is held.
func (g *gate) idle() (silent net.Conn) {
	for nc, s := range g.open {
		switch s {
		case http.StateIdle:
			return nc
		case http.StateNew:
			silent = nc
		}
	}
	return silent
}

// cutOff closes a connection without the farewell of TLS, which may block.
func cutOff(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	nc.Close()
}

// complaints are what an HTTP server has to say of those who talk to it. Strangers can
// make it say much: it is for who looks for it. That an answer could not be made is not.
type complaints struct{ log *logging.Logger }

func (c complaints) Write(p []byte) (int, error) {
	text := bytes.TrimSpace(p)
	if bytes.Contains(text, []byte("panic")) {
		c.log.Errorf("Monitoring: %s", text)
	} else {
		c.log.Debugf("Monitoring: %s", text)
	}
	return len(p), nil
}
