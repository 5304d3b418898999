package monitor

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestGate: beyond the bound those go who want nothing, and whoever comes is served as
// long as there are any.
func TestGate(t *testing.T) {
	const most = 4
	g := &gate{most: most, open: make(map[net.Conn]http.ConnState)}
	release := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			w.(http.Flusher).Flush()
			<-release
		}
		io.WriteString(w, "ok")
	}))
	srv.Config.ConnState = g.state
	srv.Start()
	t.Cleanup(srv.Close)
	dial := func() net.Conn {
		t.Helper()
		nc, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		return nc
	}
	// ask tells whether a connection is served.
	ask := func(nc net.Conn, path string) bool {
		if _, err := io.WriteString(nc, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return false
		}
		res, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			return false
		}
		if path != "/slow" {
			io.Copy(io.Discard, res.Body)
		}
		return res.StatusCode == 200
	}
	idle := func() int {
		g.mu.Lock()
		defer g.mu.Unlock()
		n := 0
		for _, s := range g.open {
			if s == http.StateIdle || s == http.StateNew {
				n++
			}
		}
		return n
	}
	for range 10 * most { // that rest
		if !ask(dial(), "/") {
			t.Fatal("a newcomer was not served")
		}
	}
	for range 10 * most { // that say nothing
		dial()
	}
	for range most { // that are busy
		for end := time.Now().Add(10 * time.Second); idle() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nobody rests")
			}
		}
		if !ask(dial(), "/slow") {
			t.Fatal("a newcomer was not served though others wanted nothing")
		}
	}
	if ask(dial(), "/") {
		t.Error("one more than there may be was served")
	}
	g.mu.Lock()
	n := len(g.open)
	g.mu.Unlock()
	if n != most {
		t.Errorf("%d connections, want %d", n, most)
	}
	close(release)
	for end := time.Now().Add(10 * time.Second); !ask(dial(), "/"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no room though nobody is busy any more")
		}
	}
}
