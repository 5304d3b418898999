package tlsmaterial

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Material is what one tls block gives to handshakes. Its methods may be called
// from several goroutines.
type Material struct {
	name   string
	keeper *Keeper // nil: nobody watches the files

	// replacing is held while something is read that may become current.
	replacing sync.Mutex
	settings  Settings // guarded by replacing
	current   atomic.Pointer[snapshot]
	watch     watch       // owned by the keeper
	asking    atomic.Bool // OCSP, for staples
}

// New makes a Material that nobody watches; see [Keeper.Material] for one that is
// kept fresh. Nothing is read before it is needed. The name stands in log lines.
func New(name string, s Settings) *Material { return &Material{name: name, settings: s} }

// Name is the name that the Material was made with.
func (m *Material) Name() string { return m.name }

// load returns what is current, and reads it the first time.
func (m *Material) load() (*snapshot, error) {
	if n := m.current.Load(); n != nil {
		return n, nil
	}
	m.replacing.Lock()
	defer m.replacing.Unlock()
	if n := m.current.Load(); n != nil {
		return n, nil
	}
	n, err := m.read(m.settings)
	if err != nil {
		return nil, err
	}
	m.current.Store(n)
	return n, nil
}

// Server is the configuration of the accepting side. One is enough for the life of
// a listener: each handshake takes what is current when it begins.
func (m *Material) Server() (*tls.Config, error) {
	return m.listener(func(n *snapshot) *tls.Config { return n.server })
}

// Public is Server without asking for certificates of clients.
func (m *Material) Public() (*tls.Config, error) {
	return m.listener(func(n *snapshot) *tls.Config { return n.public })
}

// Asking is Server for a listener that takes clients with and without a certificate, and
// tells them apart later: one that is shown must be good by the authorities that are
// named, of which there must be some.
func (m *Material) Asking() (*tls.Config, error) {
	return m.listener(func(n *snapshot) *tls.Config { return n.asking })
}

func (m *Material) listener(of func(*snapshot) *tls.Config) (*tls.Config, error) {
	n, err := m.load()
	if err != nil {
		return nil, err
	}
	if len(n.certs) == 0 {
		return nil, ErrNoCertificate
	}
	return &tls.Config{
		MinVersion:                  tls.VersionTLS12, // GetConfigForClient has the last word
		DynamicRecordSizingDisabled: true,
		GetConfigForClient:          func(*tls.ClientHelloInfo) (*tls.Config, error) { return of(m.current.Load()), nil },
	}, nil
}

// Client is the configuration for one dial of a server that is expected to prove
// serverName. It is the caller's, and no later than the dial: it does not change.
func (m *Material) Client(serverName string) (*tls.Config, error) {
	n, err := m.load()
	if err != nil {
		return nil, err
	}
	c := n.client.Clone()
	c.ServerName = serverName
	return c, nil
}

// Check says whether the peer of an established connection would be let in today:
// nil, or the error of its handshake. accepted tells which side we are.
func (m *Material) Check(c tls.ConnectionState, accepted bool) error {
	n, err := m.load()
	if err != nil {
		return err
	}
	if err := n.verifyChain(c, accepted); err != nil {
		return err
	}
	return n.verify(c, accepted)
}

// NotAfter is when the first of the own certificates expires; ok is false when
// there is none or it can't be read.
func (m *Material) NotAfter() (at time.Time, ok bool) {
	n, err := m.load()
	if err != nil {
		return time.Time{}, false
	}
	return n.notAfter()
}

// Certificates are the own ones and the authorities that were named, as they are now;
// nothing if they can't be read.
func (m *Material) Certificates() (own, authorities []*x509.Certificate) {
	n, err := m.load()
	if err != nil {
		return nil, nil
	}
	for i := range n.certs {
		own = append(own, n.certs[i].Leaf)
	}
	return own, slices.Clone(n.cas)
}

// Reload reads everything anew. On an error all stays as it was.
func (m *Material) Reload() error {
	m.replacing.Lock()
	s := m.settings
	m.replacing.Unlock()
	n, err := m.Prepare(s)
	if err != nil {
		return err
	}
	n.Commit()
	return nil
}

// Next is material that was read and is not current yet.
type Next struct {
	m        *Material
	snapshot *snapshot
}

// Prepare reads what settings name, as a replacement of what is current. Nothing
// changes before [Next.Commit], so that several blocks can be prepared, and then
// all or none be replaced.
func (m *Material) Prepare(s Settings) (*Next, error) {
	n, err := m.read(s)
	if err != nil {
		return nil, err
	}
	if k := m.keeper; k != nil {
		n.inherit(m.current.Load())
		if err := k.addStaples(k.ctx, m.name, n); err != nil {
			return nil, err
		}
		n.configure()
	}
	return &Next{m: m, snapshot: n}, nil
}

// Commit makes it current for handshakes that begin from now on. It can't fail.
func (n *Next) Commit() {
	m := n.m
	m.replacing.Lock()
	m.settings = n.snapshot.settings
	old := m.current.Swap(n.snapshot)
	m.replacing.Unlock()
	if m.keeper != nil {
		m.keeper.replaced(m, old, n.snapshot)
	}
}

// Settings are those in force.
func (m *Material) Settings() Settings {
	m.replacing.Lock()
	defer m.replacing.Unlock()
	return m.settings
}

// Release ends the watching of the files.
func (m *Material) Release() {
	if m.keeper != nil {
		m.keeper.forget(m)
	}
}
