package operator

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/atomicfile"
)

// orderSuffix is that of the files with orders to delete, which outlive the accounts.
const orderSuffix = ".deletion"

// Order is a token by which an operator has accounts deleted. The zero value: nobody
// knows by what.
type Order struct {
	Token  string
	Issued int64 // Unix second
}

// newer orders the orders for one account, the same way on all servers.
func (o Order) newer(than Order) bool {
	if o.Issued != than.Issued {
		return o.Issued > than.Issued
	}
	return o.Token > than.Token
}

// grave is what is left of a deleted account.
type grave struct {
	at    int64 // Unix second: tokens that were issued until then do not come back by themselves
	order Order
	lives bool // its token was pushed again: the order is done with
}

// readOrder notes what a file says that an account was deleted by.
func (d *Directory) readOrder(key, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		return
	}
	token := strings.TrimSpace(string(b))
	if c, err := jwt.DecodeGeneric(token); err == nil {
		g := d.graves[key]
		g.order = Order{token, c.IssuedAt}
		g.at = max(g.at, c.IssuedAt)
		d.graves[key] = g
	}
}

// reviveLocked is for an account whose token is kept again.
func (d *Directory) reviveLocked(key string) {
	g, dead := d.graves[key]
	switch {
	case !dead:
	case g.order.Token == "":
		delete(d.graves, key)
	default:
		// It stays known, so that no other server can bring it up again.
		g.lives = true
		d.graves[key] = g
	}
}

// deadLocked tells whether a token that another server has told of is one of a deleted account.
func (d *Directory) deadLocked(c *jwt.AccountClaims) bool {
	g, ok := d.graves[c.Subject]
	return ok && !g.lives && c.IssuedAt <= g.at
}

// buryLocked deletes an account's file and remembers the order.
func (d *Directory) buryLocked(key string, g grave) error {
	if g.order.Token != "" {
		file := filepath.Join(d.dir, key+orderSuffix)
		if err := atomicfile.Write(file, []byte(g.order.Token), 0o600); err != nil {
			return fmt.Errorf("storing the order to delete account %s: %w", key, err)
		}
	}
	d.graves[key] = g
	if d.files[key] == nil {
		return nil
	}
	d.forgetLocked(key)
	if d.set.HardDelete {
		return os.Remove(d.path(key))
	}
	file := filepath.Join(d.dir, key+graveSuffix)
	if err := os.Rename(d.path(key), file); err != nil {
		return err
	}
	now := d.now()
	return os.Chtimes(file, now, now)
}

// Bury implements Deleter.
func (d *Directory) Bury(key string, by Order) (gone bool, err error) {
	if !nkeys.IsValidPublicAccountKey(key) {
		return false, fmt.Errorf("%q is not an account", key)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g, s := d.graves[key], d.files[key]
	if !by.newer(g.order) || s != nil && s.issued > by.Issued {
		return false, nil
	}
	return s != nil, d.buryLocked(key, grave{at: max(g.at, by.Issued), order: by})
}

// Orders are those by which accounts were deleted that have not come back.
func (d *Directory) Orders() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := make(map[string]bool)
	var list []string
	for _, g := range d.graves {
		if t := g.order.Token; t != "" && !g.lives && !seen[t] {
			seen[t] = true
			list = append(list, t)
		}
	}
	return list
}

// OrdersHash stands for all orders: equal for directories where the same were deleted by
// the same orders.
func (d *Directory) OrdersHash() (sum [sha256.Size]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, g := range d.graves {
		if g.order.Token == "" || g.lives {
			continue
		}
		one := sha256.Sum256([]byte(key + "|" + g.order.Token))
		for i := range sum {
			sum[i] ^= one[i]
		}
	}
	return sum
}
