package operator

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
	"github.com/banyanmq/banyan/pkg/config"
)

func openDir(t testing.TB, r config.Resolver) *Directory {
	t.Helper()
	d, err := OpenDirectory(r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func save(t testing.TB, d *Directory, a *operatortest.Account) string {
	t.Helper()
	token := a.Token()
	if _, err := d.Save(a.Claims, token, false); err != nil {
		t.Fatal(err)
	}
	return token
}

func TestDirectoryIsReadAgain(t *testing.T) {
	tr := operatortest.New(t)
	a, b, c := tr.Account("A"), tr.Account("B"), tr.Account("C")
	r := config.Resolver{Kind: config.ResolverFull, Dir: filepath.Join(t.TempDir(), "jwt"), AllowDelete: true}
	d := openDir(t, r)
	token := save(t, d, a)
	save(t, d, b)
	old := save(t, d, c)
	if err := d.Delete(c.Pub, Order{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x.jwt", ".tmp-1", b.Pub + ".jwt.txt"} {
		if err := os.WriteFile(filepath.Join(r.Dir, name), []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.Dir, tr.System.Pub+".jwt"), []byte(token[:40]), 0o600); err != nil {
		t.Fatal(err)
	}
	e := openDir(t, r)
	if e.Hash() != d.Hash() || len(e.List()) != 2 {
		t.Errorf("read again it is another: %v, %v", e.List(), d.List())
	}
	if got, err := e.Fetch(context.Background(), a.Pub); err != nil || got != token {
		t.Errorf("%v", err)
	}
	if changed, err := e.Save(c.Claims, old, true); changed || err != nil {
		t.Errorf("a deleted account came back by a merge: %v, %v", changed, err)
	}
	if changed, err := e.Save(c.Claims, old, false); !changed || err != nil {
		t.Errorf("and not by a push: %v, %v", changed, err)
	}
	for _, key := range []string{"", "../../etc/passwd", "A", a.Pub + "/x"} {
		if _, err := e.Fetch(context.Background(), key); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", key, err)
		}
	}
}

func TestDirectoryLimits(t *testing.T) {
	tr := operatortest.New(t)
	a, b, c := tr.Account("A"), tr.Account("B"), tr.Account("C")
	full := openDir(t, config.Resolver{Kind: config.ResolverFull, Dir: t.TempDir(), Limit: 2})
	save(t, full, a)
	save(t, full, b)
	if _, err := full.Save(c.Claims, c.Token(), false); err == nil || err.Error() != "jwt store is full" {
		t.Errorf("%v", err)
	}
	a.Claims.Name = "again"
	save(t, full, a)
	now := time.Now()
	cache := openDir(t, config.Resolver{Kind: config.ResolverCache, Dir: t.TempDir(), Limit: 2, TTL: time.Hour})
	cache.now = func() time.Time { return now }
	save(t, cache, a)
	now = now.Add(time.Second)
	save(t, cache, b)
	now = now.Add(time.Second)
	cache.Fetch(context.Background(), a.Pub)
	save(t, cache, c)
	if cache.Takes(b.Pub) || !cache.Takes(a.Pub) || !cache.Takes(c.Pub) {
		t.Errorf("the least recently used is not what went: %v", cache.List())
	}
	now = now.Add(2 * time.Hour)
	if _, err := cache.Fetch(context.Background(), a.Pub); !errors.Is(err, ErrUnknown) {
		t.Errorf("past its time: %v", err)
	}
	b.Claims.Expires = now.Add(time.Minute).Unix()
	save(t, cache, b)
	now = now.Add(time.Hour / 2)
	if cache.Sweep(); cache.Takes(b.Pub) {
		t.Error("an expired token was not swept")
	}
}

func TestURL(t *testing.T) {
	tr := operatortest.New(t)
	a, strange := tr.Account("A"), operatortest.New(t).Account("S")
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch name := strings.TrimPrefix(r.URL.Path, "/accounts/"); name {
		case "":
		case a.Pub, strange.Pub:
			if name == a.Pub {
				w.Write([]byte(a.Token()))
			} else {
				w.Write([]byte(strange.Token()))
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	u, err := NewURL(config.Resolver{URL: srv.URL + "/accounts", Timeout: time.Second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	set := tr.Settings()
	set.Preload = nil
	set.Resolver.Kind = config.ResolverURL
	op, err := New(Options{Settings: set, SystemAccount: tr.System.Pub, Resolver: u})
	if err != nil {
		t.Fatal(err)
	}
	defer op.Close()
	admits(t, op, show(t, a.User(nil)))
	refuses(t, op, show(t, strange.User(nil)), "not trusted")
	asked = 0
	unknown := tr.Account("U")
	for range 5 {
		refuses(t, op, show(t, unknown.User(nil)), "no such account")
	}
	if asked != 1 {
		t.Errorf("%d questions for an account that is not there", asked)
	}
	// The system account can be pushed to a server that does not know it yet.
	admits(t, op, show(t, tr.System.User(nil)))
	srv.Close()
	if _, err := op.Authenticate(show(t, tr.Account("V").User(nil))); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("no server: %v", err)
	}
	if _, err := NewURL(config.Resolver{URL: srv.URL, Timeout: time.Second}, nil); err == nil {
		t.Error("a resolver that is not there was accepted")
	}
}

func TestURLOverTLS(t *testing.T) {
	tr := operatortest.New(t)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(tr.System.Token())) }))
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	r := config.Resolver{Kind: config.ResolverURL, URL: srv.URL, Timeout: time.Second}
	if _, err := NewResolver(r, nil); err == nil {
		t.Error("a server that nobody vouches for was believed")
	}
	u, err := NewResolver(r, &config.TLS{CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	defer u.(*URL).Close()
	if _, err := u.Fetch(context.Background(), tr.System.Pub); err != nil {
		t.Error(err)
	}
}
