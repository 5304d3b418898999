package leaf

import (
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
)

// addresses are the hubs that a remote may dial, in order of preference: those of
// the settings, then those that the hub told. Not safe for concurrent use.
type addresses struct {
	configured []*url.URL
	learned    []*url.URL
	current    string // host:port of the last attempt
	// name is the first host that is a name, for certificates of addresses that
	// are numbers (leafnodes 5).
	name string
}

func newAddresses(configured []*url.URL, keepOrder bool) *addresses {
	a := &addresses{configured: slices.Clone(configured)}
	if !keepOrder {
		rand.Shuffle(len(a.configured), func(i, j int) {
			a.configured[i], a.configured[j] = a.configured[j], a.configured[i]
		})
	}
	for _, u := range configured {
		a.noteName(u)
	}
	return a
}

func (a *addresses) noteName(u *url.URL) {
	if h := u.Hostname(); a.name == "" && h != "" && net.ParseIP(h) == nil {
		a.name = h
	}
}

func (a *addresses) all() []*url.URL {
	return append(slices.Clone(a.configured), a.learned...)
}

// len is how many there are.
func (a *addresses) len() int { return len(a.configured) + len(a.learned) }

// next is the address to try: the one behind the last tried, or, when that was good
// and still is known, the same again.
func (a *addresses) next(same bool) *url.URL {
	all := a.all()
	i := slices.IndexFunc(all, func(u *url.URL) bool { return u.Host == a.current })
	switch {
	case i < 0:
		i = 0
	case !same:
		i = (i + 1) % len(all)
	}
	a.current = all[i].Host
	return all[i]
}

// rewind makes the first address the next.
func (a *addresses) rewind() { a.current = "" }

// learn replaces the told addresses. Those of the settings are not told again.
func (a *addresses) learn(list []string) {
	a.learned = nil
	for _, s := range list {
		host, port, err := net.SplitHostPort(s)
		if err != nil || host == "" || port == "" || strings.ContainsAny(s, "/@?# ") {
			continue
		}
		u := &url.URL{Scheme: "nats-leaf", Host: s}
		if first := a.configured[0]; strings.HasPrefix(first.Scheme, "ws") {
			u.Scheme, u.Path, u.RawPath = first.Scheme, first.Path, first.RawPath
		}
		known := func(v *url.URL) bool { return v.Host == s }
		if slices.ContainsFunc(a.configured, known) || slices.ContainsFunc(a.learned, known) {
			continue
		}
		if len(a.learned) == maxLearned {
			break
		}
		a.learned = append(a.learned, u)
		a.noteName(u)
	}
}

// maxLearned bounds what a hub can make us remember.
const maxLearned = 256

// serverName is what the certificate of u must be for, and whether it is the name
// saved from another address.
func (a *addresses) serverName(u *url.URL) (name string, saved bool) {
	h := u.Hostname()
	if net.ParseIP(h) != nil && a.name != "" {
		return a.name, true
	}
	return h, false
}

// user is the user information for u: its own, or the first that was configured.
func (a *addresses) user(u *url.URL) *url.Userinfo {
	if u.User != nil {
		return u.User
	}
	for _, c := range a.configured {
		if c.User != nil {
			return c.User
		}
	}
	return nil
}

// hosts are host:port of a list, without user information.
func hosts(list []*url.URL) []string {
	var out []string
	for _, u := range list {
		out = append(out, u.Host)
	}
	return out
}
