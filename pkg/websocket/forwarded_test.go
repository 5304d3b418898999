package websocket

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseProxies(t *testing.T) {
	p, err := ParseProxies([]string{"10.0.0.0/8", "192.0.2.7", "::ffff:198.51.100.0/120", "2001:db8::/32", "::ffff:203.0.113.9", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[string]bool{
		"10.255.0.1": true, "11.0.0.1": false, "::ffff:10.1.1.1": true, "192.0.2.7": true, "192.0.2.8": false, "198.51.100.200": true,
		"198.51.101.1": false, "2001:db8:1::1": true, "2001:db9::1": false, "203.0.113.9": true, "::1": true, "::1%lo": true, "127.0.0.1": false,
	} {
		if got := p.Trusts(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	if Proxies(nil).Trusts(netip.MustParseAddr("127.0.0.1")) {
		t.Error("nobody is trusted, and yet")
	}
	for _, bad := range []string{"", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "fe80::1%eth0", "10.0.0.1:80", "*"} {
		if _, err := ParseProxies([]string{bad}); err == nil || !strings.Contains(err.Error(), "network") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSource(t *testing.T) {
	p, err := ParseProxies([]string{"10.0.0.0/8", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		peer    string
		headers []string
		want    string
	}{
		{"10.0.0.1", nil, "10.0.0.1:0"},
		{"10.0.0.1", []string{"1.2.3.4"}, "1.2.3.4:0"},
		{"10.0.0.1", []string{"1.2.3.4:555"}, "1.2.3.4:555"},
		{"10.0.0.1", []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"10.0.0.1", []string{"[2001:db8::1]"}, "[2001:db8::1]:0"},
		{"10.0.0.1", []string{"[2001:db8::1]:7"}, "[2001:db8::1]:7"},
		{"10.0.0.1", []string{"::ffff:1.2.3.4"}, "1.2.3.4:0"},
		{"::ffff:10.0.0.1", []string{"1.2.3.4"}, "1.2.3.4:0"},
		// What the client wrote itself stands in front of what the proxy saw.
		{"10.0.0.1", []string{"6.6.6.6, 1.2.3.4"}, "1.2.3.4:0"},
		{"10.0.0.1", []string{"6.6.6.6,10.9.9.9, 1.2.3.4"}, "1.2.3.4:0"},
		{"10.0.0.1", []string{"6.6.6.6", "1.2.3.4"}, "1.2.3.4:0"},
		// Through several proxies.
		{"10.0.0.1", []string{"6.6.6.6, 1.2.3.4, fd00::5,10.0.0.2"}, "1.2.3.4:0"},
		{"10.0.0.1", []string{"10.0.0.3"}, "10.0.0.3:0"},
		// As far as it can be read.
		{"10.0.0.1", []string{"1.2.3.4, unknown"}, "10.0.0.1:0"},
		{"10.0.0.1", []string{"unknown, 10.0.0.2"}, "10.0.0.2:0"},
		{"10.0.0.1", []string{""}, "10.0.0.1:0"},
		{"10.0.0.1", []string{","}, "10.0.0.1:0"},
		{"10.0.0.1", []string{"fe80::1%eth0"}, "10.0.0.1:0"},
		{"10.0.0.1", []string{"1.2.3.4\t"}, "1.2.3.4:0"},
		// Who is no proxy is believed nothing.
		{"9.9.9.9", []string{"1.2.3.4"}, "9.9.9.9:0"},
		{"127.0.0.1", []string{"10.0.0.1"}, "127.0.0.1:0"},
		{"10.0.0.1", []string{strings.Repeat("10.0.0.2,", 1000) + "10.0.0.4"}, "10.0.0.2:0"},
	} {
		b := "GET / HTTP/1.1\r\nHost: x\r\n"
		for _, h := range test.headers {
			b += "X-Forwarded-For: " + h + "\r\n"
		}
		q, err := ParseRequest([]byte(b + "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Source(netip.MustParseAddr(test.peer), p); got.String() != test.want {
			t.Errorf("%s, %.60q: %s, want %s", test.peer, test.headers, got, test.want)
		}
	}
}

// FuzzSource: whatever stands in the list, the result is the peer, or an address of the
// list; nobody can make one up who is not trusted.
func FuzzSource(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "1.2.3.4, 10.0.0.2", ",,", "[::1]:80,::1", "10.0.0.1:99999"} {
		f.Add(s)
	}
	p, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := ParseRequest([]byte("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: " + s + "\r\n\r\n"))
		if err != nil {
			return
		}
		stranger, proxy := netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("10.0.0.1")
		if got := q.Source(stranger, p); got != netip.AddrPortFrom(stranger, 0) {
			t.Fatalf("a stranger is taken for %s", got)
		}
		got := q.Source(proxy, p)
		if !got.IsValid() {
			t.Fatal("no address")
		}
		if v, _ := q.fields.first("x-forwarded-for"); got.Addr() != proxy && !strings.Contains(v, got.Addr().String()) {
			// IPv6 has many spellings; IPv4 has one.
			if got.Addr().Is4() && !strings.Contains(v, ":") {
				t.Fatalf("%q: %s is not in it", v, got)
			}
		}
	})
}
