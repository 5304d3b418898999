package tlsmaterial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/tlsmaterial/workload"
)

// DefaultSPIFFEWait is how long the first answer of the agent is waited for.
const DefaultSPIFFEWait = 10 * time.Second

// SPIFFE takes certificate, key and authorities from the Workload API instead of
// files. They are replaced whenever the agent has new ones.
//
// Peers are judged by their SPIFFE ID and not by host names. With [Settings.CAFile]
// they are judged by those authorities and by host names as ever, and SPIFFE is only
// where the own certificate comes from.
type SPIFFE struct {
	// Endpoint is unix:///path or tcp://address:port.
	Endpoint string
	// ID chooses among several identities; "" is the first that the agent names.
	ID string
	// TrustDomains of peers; empty is the own one. Their authorities come from the
	// agent.
	TrustDomains []string
	// Peers are the IDs that are let in, "spiffe://domain/path/*" with all below;
	// empty is every ID of the trust domains.
	Peers []string
	// Wait for the agent's first answer; 0 is DefaultSPIFFEWait.
	Wait time.Duration
}

// take puts what the agent says into a snapshot.
func (n *snapshot) take(u *workload.Update) error {
	s := n.settings.SPIFFE
	own := u.SVIDs[0]
	if s.ID != "" {
		i := slices.IndexFunc(u.SVIDs, func(v workload.SVID) bool { return v.ID == s.ID })
		if i < 0 {
			return fmt.Errorf("the SPIFFE agent at %s has no identity %s for this process, but %s", s.Endpoint, s.ID, u.SVIDs[0].ID)
		}
		own = u.SVIDs[i]
	}
	cert := tls.Certificate{PrivateKey: own.Key, Leaf: own.Chain[0]}
	for _, c := range own.Chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	n.certs = []tls.Certificate{cert}
	domain, err := workload.TrustDomain(own.ID)
	if err != nil {
		return err
	}
	trusted := s.TrustDomains
	if len(trusted) == 0 {
		trusted = []string{domain}
	}
	n.domains = map[string]*x509.CertPool{}
	for _, d := range trusted {
		list := u.Bundles[d]
		if len(list) == 0 {
			return fmt.Errorf("the SPIFFE agent at %s has no authorities of trust domain %s: it knows %s; federate with it or take it off the list",
				s.Endpoint, d, strings.Join(slices.Sorted(maps.Keys(u.Bundles)), ", "))
		}
		n.domains[d] = x509.NewCertPool()
		for _, c := range list {
			n.domains[d].AddCert(c)
			n.cas = append(n.cas, c)
		}
	}
	return nil
}

// verifySVID verifies the peer by its SPIFFE ID.
func (n *snapshot) verifySVID(c tls.ConnectionState, accepted bool) error {
	leaf, err := leafOf(c)
	if err != nil {
		return err
	}
	id, err := workload.ID(leaf)
	if err != nil {
		return err
	}
	if leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		return fmt.Errorf("the certificate of %s may sign others, which one of a SPIFFE identity must not", id)
	}
	domain, _ := workload.TrustDomain(id)
	roots := n.domains[domain]
	if roots == nil {
		return fmt.Errorf("%s is of a trust domain that is not let in", id)
	}
	if p := n.settings.SPIFFE.Peers; len(p) > 0 && !slices.ContainsFunc(p, func(pattern string) bool { return idMatches(pattern, id) }) {
		return fmt.Errorf("%s is not among the peers that are let in", id)
	}
	return chains(c, x509.VerifyOptions{Roots: roots}, accepted)
}

func idMatches(pattern, id string) bool {
	if below, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasSuffix(below, "/") {
		return strings.HasPrefix(id, below)
	}
	return pattern == id
}

// source is one agent and what it said last.
type source struct {
	endpoint string
	k        *Keeper
	first    chan struct{} // closed with the first answer

	mu     sync.Mutex
	update *workload.Update
	err    error // why there is none, or none that is newer
}

var errClosed = errors.New("the process is stopping")

// sourceOf is the agent at an endpoint, asked from now on.
func (k *Keeper) sourceOf(endpoint string) (*source, error) {
	c, err := workload.New(endpoint)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx.Err() != nil {
		return nil, errClosed
	}
	if s := k.sources[endpoint]; s != nil {
		return s, nil
	}
	s := &source{endpoint: endpoint, k: k, first: make(chan struct{})}
	k.sources[endpoint] = s
	k.done.Go(func() { c.Watch(k.ctx, s.take, s.failed) })
	return s, nil
}

// take is called with each answer.
func (s *source) take(u *workload.Update) {
	s.mu.Lock()
	initial := s.update == nil
	s.update, s.err = u, nil
	s.mu.Unlock()
	if initial {
		close(s.first)
	}
	for _, m := range s.k.materials() {
		n := m.current.Load()
		if n == nil || n.settings.SPIFFE == nil || n.settings.SPIFFE.Endpoint != s.endpoint {
			continue
		}
		next, err := m.Prepare(n.settings)
		switch {
		case err != nil:
			s.k.o.Log.Errorf("%s: what the SPIFFE agent says is not used, the former identity stays: %v", m.name, err)
		case next.snapshot.digest != n.digest:
			next.Commit()
		}
	}
}

// failed says why the agent does not answer, once as long as it is the same.
func (s *source) failed(err error) {
	s.mu.Lock()
	same := s.err != nil && s.err.Error() == err.Error()
	s.err = err
	s.mu.Unlock()
	if !same {
		s.k.o.Log.Warnf("%v; it is asked again, what is known stays until it expires", err)
	}
}

// await returns the last answer, and waits for the first.
func (s *source) await(wait time.Duration) (*workload.Update, error) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-s.first:
	case <-s.k.ctx.Done():
		return nil, errClosed
	case <-t.C:
		s.mu.Lock()
		err := s.err
		s.mu.Unlock()
		if err == nil {
			err = fmt.Errorf("the SPIFFE Workload API at %s does not answer", s.endpoint)
		}
		return nil, fmt.Errorf("no SPIFFE identity within %s: %w; is the agent running?", wait, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.update, nil
}

// identity asks the agent that the settings name.
func (m *Material) identity(s *SPIFFE) (*workload.Update, error) {
	wait := s.Wait
	if wait <= 0 {
		wait = DefaultSPIFFEWait
	}
	if m.keeper == nil {
		c, err := workload.New(s.Endpoint)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		return c.Fetch(ctx)
	}
	src, err := m.keeper.sourceOf(s.Endpoint)
	if err != nil {
		return nil, err
	}
	return src.await(wait)
}
