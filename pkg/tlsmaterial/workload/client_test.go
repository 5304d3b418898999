package workload

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/tlsmaterial/workload/agenttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func identity(t testing.TB, ca *certs.Authority, id string) agenttest.Identity {
	t.Helper()
	u, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ca.Issue(certs.Request{CommonName: "svid", Usage: certs.Both, URIs: []*url.URL{u}, Validity: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return agenttest.Identity{ID: id, Pair: p, Bundle: []*x509.Certificate{ca.Cert}}
}

func authority(t testing.TB, name string) *certs.Authority {
	t.Helper()
	ca, err := certs.NewAuthority(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func client(t testing.TB, endpoint string) *Client {
	t.Helper()
	c, err := New(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFetchSaysWhatTheUsualLibrarySays(t *testing.T) {
	a := agenttest.New(t)
	own, other := authority(t, "own"), authority(t, "other")
	a.Federate("other.org", other.Cert)
	second := identity(t, own, "spiffe://example.org/second")
	second.Hint = "external"
	a.Set(identity(t, own, "spiffe://example.org/hub/sfo"), second)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got, err := client(t, a.Endpoint).Fetch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want, err := workloadapi.FetchX509Context(ctx, workloadapi.WithAddr(a.Endpoint))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.SVIDs) != len(want.SVIDs) || len(got.SVIDs) != 2 {
		t.Fatalf("%d identities, want %d", len(got.SVIDs), len(want.SVIDs))
	}
	for i, w := range want.SVIDs {
		g := got.SVIDs[i]
		if g.ID != w.ID.String() || g.Hint != w.Hint || len(g.Chain) != len(w.Certificates) || !g.Chain[0].Equal(w.Certificates[0]) ||
			!samePublic(g.Key.Public(), w.PrivateKey.Public()) {
			t.Errorf("identity %d is %+v, want %+v", i, g, w)
		}
	}
	if len(got.Bundles) != want.Bundles.Len() {
		t.Errorf("%d bundles, want %d", len(got.Bundles), want.Bundles.Len())
	}
	for _, b := range want.Bundles.Bundles() {
		g := got.Bundles[b.TrustDomain().Name()]
		if len(g) != 1 || !g[0].Equal(b.X509Authorities()[0]) {
			t.Errorf("authorities of %s: %v", b.TrustDomain(), g)
		}
	}
}

func TestWatchFollowsChangesAndComesBack(t *testing.T) {
	a := agenttest.New(t)
	ca := authority(t, "CA")
	ctx, cancel := context.WithCancel(t.Context())
	updates, failures := make(chan *Update, 16), make(chan error, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		client(t, a.Endpoint).Watch(ctx, func(u *Update) { updates <- u }, func(err error) { failures <- err })
	}()
	if err := await(t, failures); !strings.Contains(err.Error(), "no identity issued: no identity for you; register this process") {
		t.Errorf("before it is registered: %v", err)
	}
	for _, id := range []string{"spiffe://example.org/a", "spiffe://example.org/b"} {
		a.Set(identity(t, ca, id))
		if u := await(t, updates); u.SVIDs[0].ID != id {
			t.Errorf("got %s, want %s", u.SVIDs[0].ID, id)
		}
	}
	if n := a.Streams(); n != 2 {
		t.Errorf("%d streams; a change needs no new one", n)
	}
	a.Stop()
	await(t, failures)
	a.Start()
	a.Set(identity(t, ca, "spiffe://example.org/c"))
	if u := await(t, updates); u.SVIDs[0].ID != "spiffe://example.org/c" {
		t.Errorf("after the agent came back: %s", u.SVIDs[0].ID)
	}
	cancel()
	await(t, done)
}

func await[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(15 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestEndpoints(t *testing.T) {
	for e, ok := range map[string]bool{
		"unix:///run/a.sock": true, "unix:/run/a.sock": true, "tcp://127.0.0.1:8000": true, "tcp://[::1]:8000": true,
		"": false, "/run/a.sock": false, "unix://run/a.sock": false, "unix:run": false, "tcp://host:1": false,
		"tcp://127.0.0.1": false, "tcp://127.0.0.1:1/x": false, "http://127.0.0.1:1": false, "unix:///a?b=c": false, "%": false,
	} {
		if _, err := New(e); (err == nil) != ok {
			t.Errorf("%q: %v", e, err)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	_, err := client(t, "unix:///nowhere/s").Fetch(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "SPIFFE Workload API at unix:///nowhere/s: dial unix /nowhere/s") {
		t.Errorf("error %v", err)
	}
}

func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		b = protowire.AppendTag(b, protowire.Number(fields[i].(int)), protowire.BytesType)
		switch v := fields[i+1].(type) {
		case string:
			b = protowire.AppendString(b, v)
		case []byte:
			b = protowire.AppendBytes(b, v)
		}
	}
	return b
}

func svid(t testing.TB, i agenttest.Identity, id string, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return message(1, id, 2, i.Pair.Cert.Raw, 3, der, 4, i.Bundle[0].Raw)
}

func TestWrongAnswersAreRefused(t *testing.T) {
	ca := authority(t, "CA")
	const id = "spiffe://example.org/a"
	i, j := identity(t, ca, id), identity(t, ca, id)
	if _, err := decode(message(1, svid(t, i, id, i.Pair.Key))); err != nil {
		t.Fatalf("a right answer: %v", err)
	}
	for want, msg := range map[string][]byte{
		"holds no identity":        {},
		"malformed answer":         {0xff},
		"is no SPIFFE ID":          message(1, message(1, "http://x/")),
		"there is none":            message(1, message(1, id)),
		"for another identity":     message(1, svid(t, i, "spiffe://example.org/b", i.Pair.Key)),
		"does not belong":          message(1, svid(t, i, id, j.Pair.Key)),
		"can't be read":            message(1, message(1, id, 2, i.Pair.Cert.Raw, 3, "SECRET")),
		"authorities of trust":     message(1, message(1, id, 2, i.Pair.Cert.Raw, 3, keyOf(t, i), 4, "")),
		"authorities of trust dom": message(1, svid(t, i, id, i.Pair.Key), 3, message(1, "spiffe://b", 2, "x")),
		`"b" is no SPIFFE ID`:      message(1, svid(t, i, id, i.Pair.Key), 3, message(1, "b", 2, i.Bundle[0].Raw)),
	} {
		u, err := decode(msg)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("want %q: %v, %v", want, u, err)
		}
	}
}

func keyOf(t testing.TB, i agenttest.Identity) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.Pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestMessagesAreFramed(t *testing.T) {
	frame := func(flag byte, n uint32, body string) *bytes.Reader {
		return bytes.NewReader(append(binary.BigEndian.AppendUint32([]byte{flag}, n), body...))
	}
	if b, err := readMessage(frame(0, 3, "abcd")); string(b) != "abc" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	for want, r := range map[string]*bytes.Reader{
		"EOF":            bytes.NewReader(nil),
		"unexpected EOF": bytes.NewReader([]byte{0, 0}),
		"compressed":     frame(1, 1, "a"),
		"longer than":    frame(0, maxMessage+1, ""),
		"cut off":        frame(0, 2, "a"),
	} {
		if _, err := readMessage(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func TestStatusOfAStream(t *testing.T) {
	for _, c := range []struct {
		header, trailer http.Header
		want            string
	}{
		{nil, http.Header{"Grpc-Status": {"7"}, "Grpc-Message": {"not%20you"}}, "no identity issued: not you"},
		{http.Header{"Grpc-Status": {"14"}, "Grpc-Message": {"later"}}, nil, "gRPC status 14: later"},
		{nil, http.Header{"Grpc-Status": {"0"}}, "the agent ended the stream"},
	} {
		if err := status(&http.Response{Header: c.header, Trailer: c.trailer}); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	ca := authority(f, "CA")
	i := identity(f, ca, "spiffe://example.org/a")
	f.Add(message(1, svid(f, i, i.ID, i.Pair.Key), 3, message(1, "spiffe://b", 2, i.Bundle[0].Raw)))
	f.Add([]byte{0xff})
	f.Add(message(1, message(1, "spiffe://x", 2, "", 3, "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := decode(b)
		if (u == nil) == (err == nil) {
			t.Fatal("neither an update nor an error")
		}
		if u == nil {
			return
		}
		for _, s := range u.SVIDs {
			if d, err := TrustDomain(s.ID); err != nil || len(u.Bundles[d]) == 0 || s.Key == nil || len(s.Chain) == 0 {
				t.Fatalf("%+v", s)
			}
		}
	})
}
