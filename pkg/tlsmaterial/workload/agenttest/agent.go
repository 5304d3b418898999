// Package agenttest is an agent of the SPIFFE Workload API for tests, on the usual
// gRPC library and messages.
package agenttest

import (
	"bytes"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	proto "github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/banyanmq/banyan/pkg/certs"
)

// Identity is what the agent gives out.
type Identity struct {
	ID   string
	Pair *certs.Pair
	Hint string
	// Bundle are the authorities of the ID's trust domain.
	Bundle []*x509.Certificate
}

// Agent answers until the test ends.
type Agent struct {
	proto.UnimplementedSpiffeWorkloadAPIServer
	// Endpoint is the address in the form of SPIFFE_ENDPOINT_SOCKET.
	Endpoint string

	t    testing.TB
	path string

	mu        sync.Mutex
	server    *grpc.Server // nil: stopped
	response  *proto.X509SVIDResponse
	changed   chan struct{}
	federated map[string][]byte
	streams   int
}

// New starts an agent that has no identity for anybody.
func New(t testing.TB) *Agent {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{t: t, path: filepath.Join(dir, "s"), changed: make(chan struct{}), federated: map[string][]byte{}}
	a.Endpoint = "unix://" + a.path
	a.Start()
	t.Cleanup(func() {
		a.Stop()
		os.RemoveAll(dir)
	})
	return a
}

// Start starts it again after Stop.
func (a *Agent) Start() {
	a.t.Helper()
	os.Remove(a.path)
	ln, err := net.Listen("unix", a.path)
	if err != nil {
		a.t.Fatal(err)
	}
	s := grpc.NewServer()
	proto.RegisterSpiffeWorkloadAPIServer(s, a)
	a.mu.Lock()
	a.server = s
	a.mu.Unlock()
	go s.Serve(ln)
}

// Stop breaks all streams.
func (a *Agent) Stop() {
	a.mu.Lock()
	s := a.server
	a.server = nil
	a.mu.Unlock()
	if s != nil {
		s.Stop()
	}
}

// Federate adds the authorities of another trust domain to what Set gives out.
func (a *Agent) Federate(domain string, bundle ...*x509.Certificate) {
	a.federated["spiffe://"+domain] = der(bundle)
}

// Set gives these identities to whoever asks, and tells those that listen.
func (a *Agent) Set(list ...Identity) {
	a.t.Helper()
	r := &proto.X509SVIDResponse{FederatedBundles: a.federated}
	for _, i := range list {
		key, err := x509.MarshalPKCS8PrivateKey(i.Pair.Key)
		if err != nil {
			a.t.Fatal(err)
		}
		r.Svids = append(r.Svids, &proto.X509SVID{SpiffeId: i.ID, X509Svid: i.Pair.Cert.Raw, X509SvidKey: key, Bundle: der(i.Bundle), Hint: i.Hint})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.response = r
	close(a.changed)
	a.changed = make(chan struct{})
}

func der(list []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range list {
		b.Write(c.Raw)
	}
	return b.Bytes()
}

// Streams is how many were opened so far.
func (a *Agent) Streams() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.streams
}

// FetchX509SVID is the method that clients call.
func (a *Agent) FetchX509SVID(_ *proto.X509SVIDRequest, s grpc.ServerStreamingServer[proto.X509SVIDResponse]) error {
	if md, _ := metadata.FromIncomingContext(s.Context()); len(md.Get("workload.spiffe.io")) != 1 || md.Get("workload.spiffe.io")[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	a.mu.Lock()
	a.streams++
	a.mu.Unlock()
	for {
		a.mu.Lock()
		r, changed := a.response, a.changed
		a.mu.Unlock()
		if r == nil {
			return status.Error(codes.PermissionDenied, "no identity for you")
		}
		if err := s.Send(r); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
}
