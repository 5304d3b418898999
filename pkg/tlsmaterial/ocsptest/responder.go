// Package ocsptest is a small OCSP responder for tests.
package ocsptest

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/banyanmq/banyan/pkg/certs"
)

// Responder answers for the certificates of one authority until the test ends. All
// are good that Set says nothing else of.
type Responder struct {
	URL string

	t  testing.TB
	ca *certs.Authority

	mu      sync.Mutex
	status  map[string]int // by serial number
	down    bool
	noPOST  bool
	valid   time.Duration
	this    time.Duration
	signer  *x509.Certificate
	key     crypto.Signer
	methods []string
}

// New starts one.
func New(t testing.TB, ca *certs.Authority) *Responder {
	t.Helper()
	r := &Responder{t: t, ca: ca, status: map[string]int{}, valid: time.Hour, signer: ca.Cert, key: ca.Key}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

func (r *Responder) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// Set makes the status of a certificate: ocsp.Good, ocsp.Revoked or ocsp.Unknown.
func (r *Responder) Set(c *x509.Certificate, status int) {
	r.change(func() { r.status[c.SerialNumber.String()] = status })
}

// Valid is for how long answers hold; 0 leaves it unsaid.
func (r *Responder) Valid(d time.Duration) { r.change(func() { r.valid = d }) }

// Made is how long ago answers were made, negative for the future.
func (r *Responder) Made(ago time.Duration) { r.change(func() { r.this = ago }) }

// Down makes it answer with an error, or not any longer.
func (r *Responder) Down(down bool) { r.change(func() { r.down = down }) }

// OnlyGET refuses POST.
func (r *Responder) OnlyGET() { r.change(func() { r.noPOST = true }) }

// SignedBy makes another sign the answers.
func (r *Responder) SignedBy(p *certs.Pair) { r.change(func() { r.signer, r.key = p.Cert, p.Key }) }

// Methods are those of the requests so far.
func (r *Responder) Methods() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.methods...)
}

func (r *Responder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.methods = append(r.methods, q.Method)
	if r.down || r.noPOST && q.Method == http.MethodPost {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	raw, err := io.ReadAll(q.Body)
	if q.Method == http.MethodGet {
		var text string
		if text, err = url.PathUnescape(strings.TrimPrefix(q.URL.EscapedPath(), "/")); err == nil {
			raw, err = base64.StdEncoding.DecodeString(text)
		}
	}
	req, perr := ocsp.ParseRequest(raw)
	if err != nil || perr != nil || q.Method == http.MethodPost && q.Header.Get("Content-Type") != "application/ocsp-request" {
		http.Error(w, "no request", http.StatusBadRequest)
		return
	}
	status, known := r.status[req.SerialNumber.String()]
	if !known {
		status = ocsp.Good
	}
	t := ocsp.Response{Status: status, SerialNumber: req.SerialNumber, ThisUpdate: time.Now().Add(-r.this), RevokedAt: time.Now()}
	if r.valid != 0 {
		t.NextUpdate = t.ThisUpdate.Add(r.valid)
	}
	if r.signer != r.ca.Cert {
		t.Certificate = r.signer
	}
	resp, err := ocsp.CreateResponse(r.ca.Cert, r.signer, t, r.key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Write(resp)
}
