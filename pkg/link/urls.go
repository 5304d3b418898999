package link

import (
	"slices"
	"sync"
)

// URLs is a set of addresses (host:port), each counted by how many have
// announced it. Own addresses come first. Safe for concurrent use.
type URLs struct {
	mu       sync.Mutex
	own      []string
	learned  map[string]int
	order    []string
	ever     bool // others' addresses have been known
	withheld bool
	watchers []func()
}

// SetOwn sets this server's own addresses.
func (u *URLs) SetOwn(own []string) {
	u.mu.Lock()
	u.own = slices.Clone(own)
	u.mu.Unlock()
	u.changed()
}

// Own returns this server's own addresses.
func (u *URLs) Own() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.own)
}

// Withhold leaves the own addresses out of All from here on (lame duck).
func (u *URLs) Withhold() {
	u.mu.Lock()
	u.withheld = true
	u.mu.Unlock()
}

// Add counts addresses once more.
func (u *URLs) Add(list []string) {
	u.mu.Lock()
	news := false
	for _, s := range list {
		if u.learned == nil {
			u.learned = make(map[string]int)
		}
		if u.learned[s]++; u.learned[s] == 1 {
			u.order = append(u.order, s)
			news = true
		}
	}
	u.ever = u.ever || news
	u.mu.Unlock()
	if news {
		u.changed()
	}
}

// Remove counts addresses once less.
func (u *URLs) Remove(list []string) {
	u.mu.Lock()
	news := false
	for _, s := range list {
		switch n := u.learned[s]; {
		case n == 1:
			delete(u.learned, s)
			u.order = slices.DeleteFunc(u.order, func(x string) bool { return x == s })
			news = true
		case n > 1:
			u.learned[s] = n - 1
		}
	}
	u.mu.Unlock()
	if news {
		u.changed()
	}
}

// All returns the own addresses, then the others; nil until another's has been
// known for the first time.
func (u *URLs) All() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.ever {
		return nil
	}
	var all []string
	if !u.withheld {
		all = append(all, u.own...)
	}
	for _, s := range u.order {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// Watch calls f after each change. f must not call back into u's writers.
func (u *URLs) Watch(f func()) {
	u.mu.Lock()
	u.watchers = append(u.watchers, f)
	u.mu.Unlock()
}

func (u *URLs) changed() {
	u.mu.Lock()
	told := u.watchers
	u.mu.Unlock()
	for _, f := range told {
		f()
	}
}
