package monitor

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// unguarded are the paths that need no token: what probes ask, who can't be given one.
func unguarded(path string) bool {
	switch path {
	case "/healthz", "/livez", "/readyz":
		return true
	}
	return false
}

// guarded tells whether not everybody may see everything.
func (r *Reports) guarded() bool {
	h := &r.Settings().HTTP
	return h.Token != "" || h.AuthTLS != nil
}

// admits tells whether a request may see a path: by its certificate, which the handshake
// has verified, or by the token. If not, it has been answered. A browser asks for the
// token as a password.
func (r *Reports) admits(w http.ResponseWriter, req *http.Request, path string) bool {
	if !r.guarded() || unguarded(path) {
		return true
	}
	h := &r.Settings().HTTP
	if h.AuthTLS != nil && req.TLS != nil && len(req.TLS.VerifiedChains) > 0 {
		return true
	}
	want := string(h.Token)
	if want == "" {
		http.Error(w, "a client certificate is needed", http.StatusForbidden)
		return false
	}
	got, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !ok {
		_, got, _ = req.BasicAuth()
	}
	// Hashes have one length, so that the time says nothing of the token.
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="monitoring", charset="UTF-8"`)
	http.Error(w, "a token is needed", http.StatusUnauthorized)
	return false
}

// extra is the handler of a path beyond the endpoints, nil if there is none.
func (r *Reports) extra(path string) http.Handler {
	if h := r.handlers[path]; h != nil {
		return h
	}
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return r.handlers[path[:i+1]]
	}
	return nil
}
