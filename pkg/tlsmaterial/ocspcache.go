package tlsmaterial

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

// OCSPCache is where answers about peers are kept.
type OCSPCache struct {
	// Off asks at each handshake.
	Off bool
	// Dir keeps them over a restart, in cache.json; "" in memory only.
	Dir string
	// SaveInterval is the least time between two writes; 0 is five minutes.
	SaveInterval time.Duration
	// PreserveRevoked keeps what is revoked beyond the time for which it was said.
	PreserveRevoked bool
}

// CacheStats count what the cache did.
type CacheStats struct {
	Hits, Misses                    int64
	Responses, Good, Revoked, Other int64
}

// maxCached answers are kept; peers choose their certificates, but not more of them
// than their authority signs.
const maxCached = 100_000

// cached is one answer, as it stands in the file, by the base64 SHA-256 of the
// certificate it is about.
type cached struct {
	Subject string    `json:"subject"`
	At      time.Time `json:"cached_at"`
	Status  string    `json:"resp_status"`
	Expires time.Time `json:"resp_expires"`
	Raw     []byte    `json:"resp"`
}

type ocspCache struct {
	o OCSPCache

	mu     sync.Mutex
	m      map[string]cached
	dirty  bool
	saved  time.Time
	hits   int64
	misses int64
}

func newOCSPCache(o OCSPCache) *ocspCache {
	o.SaveInterval = orElse(o.SaveInterval, 5*time.Minute)
	return &ocspCache{o: o, m: map[string]cached{}}
}

func cacheKey(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// get returns an answer that holds, nil if there is none. It is verified again: what
// lies in a file is no better than who may write there.
func (c *ocspCache) get(cert, issuer *x509.Certificate, now time.Time, skew, unset time.Duration) *ocsp.Response {
	if c.o.Off {
		return nil
	}
	key := cacheKey(cert)
	c.mu.Lock()
	e, ok := c.m[key]
	c.mu.Unlock()
	var r *ocsp.Response
	if ok {
		var err error
		if r, err = parseOCSP(e.Raw, cert, issuer); err != nil {
			r = nil
		} else if fresh(r, now, skew, unset) != nil && !(c.o.PreserveRevoked && r.Status == ocsp.Revoked) {
			r = nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r == nil {
		c.misses++
	} else {
		c.hits++
	}
	return r
}

func (c *ocspCache) put(cert *x509.Certificate, raw []byte, r *ocsp.Response, now time.Time) {
	if c.o.Off {
		return
	}
	key := cacheKey(cert)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.m[key]; !ok && len(c.m) >= maxCached {
		for k := range c.m { // any will do
			delete(c.m, k)
			break
		}
	}
	c.m[key] = cached{Subject(cert), now.UTC(), statusName(r.Status), expires(r, DefaultUnsetTTL).UTC(), raw}
	c.dirty = true
}

func (c *ocspCache) file() string { return filepath.Join(c.o.Dir, "cache.json") }

// load reads the file of an earlier run.
func (c *ocspCache) load(log Log) {
	if c.o.Off || c.o.Dir == "" {
		return
	}
	b, err := os.ReadFile(c.file())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var m map[string]cached
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		log.Warnf("The cache of OCSP answers %s is begun anew: %v", c.file(), err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, v := range m {
		c.m[k] = v
	}
}

// save writes the file if there is anything new and it is time, or at the end.
func (c *ocspCache) save(now time.Time, log Log, end bool) {
	if c.o.Off || c.o.Dir == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty || !end && now.Sub(c.saved) < c.o.SaveInterval {
		return
	}
	for k, e := range c.m {
		if now.After(e.Expires) && !(c.o.PreserveRevoked && e.Status == statusName(ocsp.Revoked)) {
			delete(c.m, k)
		}
	}
	b, err := json.Marshal(c.m)
	if err == nil {
		err = writeFile(c.file(), b)
	}
	if err != nil {
		log.Warnf("The cache of OCSP answers can't be kept: %v", err)
	}
	c.dirty, c.saved = false, now
}

// CacheStats are counts since the start and what the cache holds now.
func (k *Keeper) CacheStats() CacheStats {
	c := k.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	s := CacheStats{Hits: c.hits, Misses: c.misses, Responses: int64(len(c.m))}
	for _, e := range c.m {
		switch e.Status {
		case statusName(ocsp.Good):
			s.Good++
		case statusName(ocsp.Revoked):
			s.Revoked++
		default:
			s.Other++
		}
	}
	return s
}
