package tlsmaterial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultInterval is the time between two looks at the files.
const DefaultInterval = 5 * time.Second

// Log is where a Keeper says what it did.
type Log interface {
	Noticef(format string, args ...any)
	Warnf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Options of a Keeper. The zero value works.
type Options struct {
	Log      Log
	Interval time.Duration    // default DefaultInterval
	Now      func() time.Time // default time.Now; when certificates are judged

	// Fatal is told what the settings want the process to end for (see
	// [StapleMust]); nil goes on.
	Fatal func(error)
	// Cache of what OCSP said about peers.
	Cache OCSPCache
}

// Keeper watches the files of materials.
type Keeper struct {
	o Options

	mu      sync.Mutex
	list    []*Material
	sources map[string]*source // of SPIFFE, by endpoint

	ocsp    *asker
	cache   *ocspCache
	refused atomic.Pointer[func(Refusal)]

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	done sync.WaitGroup
}

// NewKeeper makes a Keeper; nothing is watched before Start.
func NewKeeper(o Options) *Keeper {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = silence{}
	}
	if o.Fatal == nil {
		o.Fatal = func(error) {}
	}
	k := &Keeper{o: o, sources: map[string]*source{}, ocsp: newAsker(), cache: newOCSPCache(o.Cache)}
	k.ctx, k.stop = context.WithCancel(context.Background())
	return k
}

// OnRefused makes f be told of peers that OCSP refuses, before their handshake fails.
// It is called from the goroutines of handshakes and should be quick.
func (k *Keeper) OnRefused(f func(Refusal)) { k.refused.Store(&f) }

// Material makes a Material whose files are watched until Release.
func (k *Keeper) Material(name string, s Settings) *Material {
	m := New(name, s)
	m.keeper = k
	k.mu.Lock()
	k.list = append(k.list, m)
	k.mu.Unlock()
	return m
}

// Start begins to watch. Materials may be made before and after. It waits for
// agents of SPIFFE that materials name, as long as these say, and for responders of
// OCSP; what a material can't be without and does not get is an error.
func (k *Keeper) Start() error {
	k.cache.load(k.o.Log)
	for _, m := range k.materials() {
		if err := k.first(m); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	k.done.Go(k.run)
	return nil
}

// first gets what does not come from files.
func (k *Keeper) first(m *Material) error {
	s := m.Settings()
	if s.SPIFFE == nil && s.Staple == nil {
		return nil
	}
	n, err := m.load()
	if err != nil {
		return err
	}
	k.neverStapled(m.name, n)
	ctx, cancel := k.ctx, context.CancelFunc(func() {})
	if !s.Staple.strict() {
		ctx, cancel = context.WithTimeout(k.ctx, autoWait)
	}
	defer cancel()
	next := n.clone()
	if err := k.addStaples(ctx, m.name, next); err != nil {
		return err
	}
	next.configure()
	m.current.CompareAndSwap(n, next)
	return nil
}

// Close ends the watching. What is current stays usable.
func (k *Keeper) Close() {
	k.mu.Lock()
	k.stop() // no source is started from now on
	k.mu.Unlock()
	k.done.Wait()
	k.cache.save(k.o.Now(), k.o.Log, true)
}

func (k *Keeper) run() {
	t := time.NewTicker(k.o.Interval)
	defer t.Stop()
	for {
		for _, m := range k.materials() {
			k.look(m)
			k.refresh(m)
		}
		k.cache.save(k.o.Now(), k.o.Log, false)
		select {
		case <-k.ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (k *Keeper) materials() []*Material {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.list)
}

func (k *Keeper) forget(m *Material) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = slices.DeleteFunc(k.list, func(x *Material) bool { return x == m })
}

// Reload reads the files of all materials anew, changed or not. On an error
// nothing is replaced anywhere.
func (k *Keeper) Reload() error {
	var all []*Next
	for _, m := range k.materials() {
		n, err := m.Prepare(m.Settings())
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		all = append(all, n)
	}
	for _, n := range all {
		n.Commit()
	}
	return nil
}

// watch is what the keeper's goroutine remembers of a material.
type watch struct {
	seen    string // stamps of the files when they were last taken
	failing string // stamps with which reading failed
	said    bool   // that it failed
	warned  map[string]time.Time
}

// look replaces a material whose files changed. A pair is often written one file
// after the other: what does not fit is tried once more before it is an error.
func (k *Keeper) look(m *Material) {
	n := m.current.Load()
	if n == nil {
		return // nobody has used it yet
	}
	defer k.expiry(m)
	w := &m.watch
	now := stamps(n.settings)
	if w.seen == "" {
		// The first look: whether the files are those that were read is not known.
		if fresh, err := m.read(n.settings); err == nil && fresh.digest == n.digest {
			w.seen = now
			return
		}
	}
	if now == w.seen {
		w.failing = ""
		return
	}
	next, err := m.Prepare(n.settings)
	switch {
	case err == nil:
		w.seen, w.failing = now, ""
		if next.snapshot.digest != n.digest && m.current.Load() == n {
			next.Commit()
		}
	case w.failing != now:
		w.failing, w.said = now, false
	case !w.said:
		w.said = true
		k.o.Log.Errorf("%s: new files are not used, the former certificates stay: %v", m.name, err)
	}
}

// stamps tell whether a file was changed or replaced. Links are followed.
func stamps(s Settings) string {
	var b strings.Builder
	for _, f := range s.files() {
		i, err := os.Stat(f)
		if err != nil {
			fmt.Fprintf(&b, "%v;", err)
			continue
		}
		fmt.Fprintf(&b, "%s %d %d;", identity(i), i.Size(), i.ModTime().UnixNano())
	}
	return b.String()
}

func (s *Settings) files() []string {
	var all []string
	for _, p := range s.Pairs {
		all = append(all, p.CertFile, p.KeyFile)
	}
	if s.CAFile != "" {
		all = append(all, s.CAFile)
	}
	return all
}

// replaced says what is new.
func (k *Keeper) replaced(m *Material, old, now *snapshot) {
	if old == nil {
		return
	}
	for i := range now.certs {
		c := now.certs[i].Leaf
		if slices.ContainsFunc(old.certs, func(o tls.Certificate) bool { return o.Leaf.Equal(c) }) {
			continue
		}
		k.o.Log.Noticef("%s: new certificate %q, valid until %s, for connections from now on", m.name, Subject(c), Date(c.NotAfter))
	}
	if !slices.EqualFunc(old.cas, now.cas, (*x509.Certificate).Equal) {
		var names []string
		for _, c := range now.cas {
			names = append(names, fmt.Sprintf("%q until %s", Subject(c), Date(c.NotAfter)))
		}
		if len(names) == 0 {
			names = []string{"the system's"}
		}
		k.o.Log.Noticef("%s: new authorities: %s", m.name, strings.Join(names, ", "))
	}
}

const day = 24 * time.Hour

// Soon tells whether a certificate ends soon: in less than 30 days. Of one that lives
// shorter than a quarter of a year, and is meant to be replaced often, when less than
// a third of its life is left.
func Soon(c *x509.Certificate, now time.Time) bool {
	return c.NotAfter.Sub(now) <= min(30*day, c.NotAfter.Sub(c.NotBefore)/3)
}

// expiry warns once a day of certificates that end soon, with less than a week, or a
// tenth of their life, as errors.
func (k *Keeper) expiry(m *Material) {
	n := m.current.Load()
	now := k.o.Now()
	check := func(what string, c *x509.Certificate) {
		if !Soon(c, now) {
			return
		}
		left, life := c.NotAfter.Sub(now), c.NotAfter.Sub(c.NotBefore)
		renew := "put a new one in its file, it is picked up without a restart"
		if n.settings.SPIFFE != nil && n.settings.CAFile == "" {
			renew = "the SPIFFE agent has no newer one"
		}
		key := string(c.Raw)
		if at, ok := m.watch.warned[key]; ok && now.Sub(at) < day {
			return
		}
		if m.watch.warned == nil {
			m.watch.warned = map[string]time.Time{}
		}
		m.watch.warned[key] = now
		switch {
		case left <= 0:
			k.o.Log.Errorf("%s: %s %q expired on %s: %s", m.name, what, Subject(c), Date(c.NotAfter), renew)
		case left <= min(7*day, life/10):
			k.o.Log.Errorf("%s: %s %q expires in %s, on %s", m.name, what, Subject(c), span(left), Date(c.NotAfter))
		default:
			k.o.Log.Warnf("%s: %s %q expires in %s, on %s", m.name, what, Subject(c), span(left), Date(c.NotAfter))
		}
	}
	for i := range n.certs {
		check("certificate", n.certs[i].Leaf)
	}
	for _, c := range n.cas {
		check("authority", c)
	}
}

// Subject names a certificate in messages: its SPIFFE ID, its subject or its hosts.
func Subject(c *x509.Certificate) string {
	if len(c.URIs) == 1 && c.URIs[0].Scheme == "spiffe" {
		return c.URIs[0].String()
	}
	if s := c.Subject.String(); s != "" {
		return s
	}
	return strings.Join(c.DNSNames, ",")
}

// Date is a time in messages.
func Date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// span is a time left, in days where there are some.
func span(d time.Duration) string {
	if d >= 2*day {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.Round(time.Minute).String()
}

type silence struct{}

func (silence) Noticef(string, ...any) {}
func (silence) Warnf(string, ...any)   {}
func (silence) Errorf(string, ...any)  {}
