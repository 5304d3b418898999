package leaf

import (
	"net/url"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func parseAll(t testing.TB, list ...string) []*url.URL {
	t.Helper()
	var all []*url.URL
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	return all
}

func TestAddressesFailOver(t *testing.T) {
	a := newAddresses(parseAll(t, "nats://a:1", "nats://b:2"), true)
	walk := func(same ...bool) (got []string) {
		for _, s := range same {
			got = append(got, a.next(s).Host)
		}
		return got
	}
	if got := walk(false, true, false, false, true); !slices.Equal(got, []string{"a:1", "a:1", "b:2", "a:1", "a:1"}) {
		t.Errorf("order %v", got)
	}
	// Told addresses come behind the configured ones, without repeats and without rubbish.
	a.learn([]string{"b:2", "c:3", "c:3", "no port", "evil/path:4", "user@d:5", ":6", "e:7"})
	if got := walk(false, false, false, false); !slices.Equal(got, []string{"b:2", "c:3", "e:7", "a:1"}) {
		t.Errorf("order with told ones %v", got)
	}
	// The one in use is not told any more.
	walk(false, false)
	a.learn(nil)
	if got := walk(true, false); !slices.Equal(got, []string{"a:1", "b:2"}) {
		t.Errorf("order after they are gone %v", got)
	}
}

func TestAddressesNames(t *testing.T) {
	a := newAddresses(parseAll(t, "nats://10.0.0.1:1", "nats://joe:pw@hub.example:2"), true)
	for _, c := range []struct {
		url, name string
		saved     bool
	}{
		{"nats://10.0.0.1:1", "hub.example", true},
		{"nats://other.example:1", "other.example", false},
		{"nats://[::1]:1", "hub.example", true},
	} {
		u := parseAll(t, c.url)[0]
		if name, saved := a.serverName(u); name != c.name || saved != c.saved {
			t.Errorf("%s: %s %v", c.url, name, saved)
		}
		if ui := a.user(u); ui.Username() != "joe" {
			t.Errorf("%s: user %v", c.url, ui)
		}
	}
	b := newAddresses(parseAll(t, "nats://10.0.0.1:1"), true)
	if name, saved := b.serverName(parseAll(t, "nats://10.0.0.2:1")[0]); name != "10.0.0.2" || saved {
		t.Errorf("without a name: %s %v", name, saved)
	}
}

// Within a round each address is tried once, however the list changes in between.
func TestAddressesRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,4}:[1-9]`), 1, 8, rapid.ID).Draw(t, "configured")
		var list []*url.URL
		for _, h := range hosts {
			list = append(list, &url.URL{Host: h})
		}
		a := newAddresses(list, rapid.Bool().Draw(t, "keep order"))
		a.learn(rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,4}:[1-9]`), 0, 8).Draw(t, "told"))
		a.next(rapid.Bool().Draw(t, "same"))
		seen := map[string]int{}
		for range a.len() {
			seen[a.next(false).Host]++
		}
		if len(seen) != a.len() {
			t.Fatalf("%d addresses, %v seen in a round", a.len(), seen)
		}
		for _, h := range hosts {
			if seen[h] != 1 {
				t.Fatalf("configured %s was tried %d times", h, seen[h])
			}
		}
	})
}
