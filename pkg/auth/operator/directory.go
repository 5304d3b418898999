package operator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/atomicfile"
	"github.com/banyanmq/banyan/pkg/auth/usertoken"
	"github.com/banyanmq/banyan/pkg/config"
)

const (
	tokenSuffix = ".jwt"
	graveSuffix = ".jwt.deleted"
)

// Directory is a Store of one file for each account: <account key>.jwt, the bare
// token. It belongs to one server. What it knows of each file is kept in memory,
// so that questions about the whole of it read none.
type Directory struct {
	dir  string
	full bool
	set  config.Resolver
	now  func() time.Time

	mu     sync.Mutex
	files  map[string]*stored
	graves map[string]grave
	hash   [sha256.Size]byte
}

// stored is what is known of one file.
type stored struct {
	tokenVersion
	sum     [sha256.Size]byte
	expires int64
	used    time.Time
}

// OpenDirectory reads a directory, which is made if it is missing. Files that
// hold no account's token are passed over.
func OpenDirectory(r config.Resolver) (*Directory, error) {
	if err := os.MkdirAll(r.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("directory of the account resolver: %w", err)
	}
	d := &Directory{
		dir: r.Dir, full: r.Kind == config.ResolverFull, set: r, now: time.Now,
		files: make(map[string]*stored), graves: make(map[string]grave),
	}
	list, err := os.ReadDir(r.Dir)
	if err != nil {
		return nil, fmt.Errorf("directory of the account resolver: %w", err)
	}
	for _, e := range list {
		if key, ok := strings.CutSuffix(e.Name(), graveSuffix); ok && nkeys.IsValidPublicAccountKey(key) {
			if fi, err := e.Info(); err == nil {
				g := d.graves[key]
				g.at = max(g.at, fi.ModTime().Unix())
				d.graves[key] = g
			}
			continue
		}
		if key, ok := strings.CutSuffix(e.Name(), orderSuffix); ok && nkeys.IsValidPublicAccountKey(key) {
			d.readOrder(key, filepath.Join(r.Dir, e.Name()))
			continue
		}
		key, ok := strings.CutSuffix(e.Name(), tokenSuffix)
		if !ok || !nkeys.IsValidPublicAccountKey(key) {
			continue
		}
		token, err := os.ReadFile(filepath.Join(r.Dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("directory of the account resolver: %w", err)
		}
		c, err := jwt.DecodeAccountClaims(string(token))
		if err == nil && c.Subject == key {
			d.noteLocked(c, string(token))
		}
	}
	return d, nil
}

// noteLocked makes a token the one that is known. Deleted accounts live again.
func (d *Directory) noteLocked(c *jwt.AccountClaims, token string) {
	d.forgetLocked(c.Subject)
	s := &stored{versionOf(c), sha256.Sum256([]byte(token)), c.Expires, d.now()}
	d.files[c.Subject] = s
	d.xorLocked(s)
	d.reviveLocked(c.Subject)
}

func (d *Directory) forgetLocked(key string) {
	if s := d.files[key]; s != nil {
		d.xorLocked(s)
		delete(d.files, key)
	}
}

func (d *Directory) xorLocked(s *stored) {
	for i := range d.hash {
		d.hash[i] ^= s.sum[i]
	}
}

func (d *Directory) path(key string) string { return filepath.Join(d.dir, key+tokenSuffix) }

// Fetch implements Resolver.
func (d *Directory) Fetch(_ context.Context, account string) (string, error) {
	if !nkeys.IsValidPublicAccountKey(account) {
		return "", ErrUnknown // never a path of a stranger's making
	}
	d.mu.Lock()
	s := d.files[account]
	gone := s == nil
	if s != nil {
		now := d.now()
		if !d.full && d.set.TTL > 0 && now.Sub(s.used) > d.set.TTL {
			gone = true
			d.forgetLocked(account)
			os.Remove(d.path(account))
		}
		s.used = now
	}
	d.mu.Unlock()
	if gone {
		return "", ErrUnknown
	}
	b, err := os.ReadFile(d.path(account))
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrUnknown
	}
	return strings.TrimSpace(string(b)), err
}

// Save implements Store. The file is whole at any moment, also after a crash.
func (d *Directory) Save(c *jwt.AccountClaims, token string, merge bool) (bool, error) {
	key := c.Subject
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.files[key]; s != nil {
		switch {
		case s.sum == sha256.Sum256([]byte(token)):
			return false, nil
		case c.IssuedAt < s.issued && merge, merge && c.ID == s.id:
			return false, nil
		case c.IssuedAt < s.issued:
			return false, ErrOlder
		}
	} else {
		if merge && d.deadLocked(c) {
			return false, nil
		}
		if d.set.Limit > 0 && len(d.files) >= d.set.Limit {
			if d.full {
				return false, errFull
			}
			d.evictLocked()
		}
	}
	if err := atomicfile.Write(d.path(key), []byte(token), 0o600); err != nil {
		return false, fmt.Errorf("storing the JWT of account %s: %w", key, err)
	}
	d.noteLocked(c, token)
	os.Remove(filepath.Join(d.dir, key+graveSuffix))
	return true, nil
}

// evictLocked makes room in a cache.
func (d *Directory) evictLocked() {
	oldest := ""
	for k, s := range d.files {
		if oldest == "" || s.used.Before(d.files[oldest].used) {
			oldest = k
		}
	}
	d.forgetLocked(oldest)
	os.Remove(d.path(oldest))
}

// Takes implements Store: a cache keeps what it holds already.
func (d *Directory) Takes(account string) bool {
	if d.full {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.files[account] != nil
}

// Full tells whether all accounts are kept, and not only those that were asked for.
func (d *Directory) Full() bool { return d.full }

// MayDelete implements Deleter.
func (d *Directory) MayDelete() bool { return d.set.AllowDelete }

// Delete implements Deleter. Deleting what is gone is no error.
func (d *Directory) Delete(key string, by Order) error {
	if !nkeys.IsValidPublicAccountKey(key) {
		return fmt.Errorf("%q is not an account", key)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.graves[key]; !by.newer(g.order) {
		by = g.order
	}
	return d.buryLocked(key, grave{at: max(d.now().Unix(), by.Issued), order: by})
}

// List returns the accounts whose tokens have not expired.
func (d *Directory) List() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	list := make([]string, 0, len(d.files))
	for k, s := range d.files {
		if !usertoken.Expired(s.expires, now) {
			list = append(list, k)
		}
	}
	return list
}

// Hash stands for all that is stored: equal for directories that hold the same.
func (d *Directory) Hash() [sha256.Size]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hash
}

// Sweep deletes the files of tokens that have expired.
func (d *Directory) Sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	for k, s := range d.files {
		if usertoken.Expired(s.expires, now) {
			d.forgetLocked(k)
			os.Remove(d.path(k))
		}
	}
}
