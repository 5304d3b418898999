package client

import (
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

func v2(versionCommand, family byte, rest string) string {
	return proxyV2 + string([]byte{versionCommand, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

var (
	inet4 = "\x01\x02\x03\x04\x7f\x00\x00\x01\x10\x00\x20\x00"
	inet6 = strings.Repeat("\x00", 15) + "\x09" + strings.Repeat("\x00", 15) + "\x01" + "\x10\x00\x20\x00"
)

// proxyRows is the table of client-protocol 15.
var proxyRows = []struct {
	name, header string
	ip           string // "" refused; "real" kept
}{
	{"none", "", "real"},
	{"v1 TCP4", "PROXY TCP4 1.2.3.4 127.0.0.1 4096 8192\r\n", "1.2.3.4"},
	{"v1 TCP6", "PROXY TCP6 2001:db8::9 ::1 4096 8192\r\n", "2001:db8::9"},
	{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", "real"},
	{"v1 UNKNOWN with words", "PROXY UNKNOWN ffff:: a b c d e f\r\n", "real"},
	{"v1 longest", "PROXY UNKNOWN " + strings.Repeat("x", 107-16) + "\r\n", "real"},
	{"v1 too long", "PROXY UNKNOWN " + strings.Repeat("x", 107-15) + "\r\n", ""},
	{"v1 without CR", "PROXY TCP4 1.2.3.4 127.0.0.1 4096 8192\n", ""},
	{"v1 few fields", "PROXY TCP4 1.2.3.4 127.0.0.1 4096\r\n", ""},
	{"v1 many fields", "PROXY TCP4 1.2.3.4 127.0.0.1 4096 1 2\r\n", ""},
	{"v1 mixed families", "PROXY TCP4 1.2.3.4 ::1 4096 8192\r\n", ""},
	{"v1 wrong family", "PROXY TCP6 1.2.3.4 1.2.3.4 4096 8192\r\n", ""},
	{"v1 bad port", "PROXY TCP4 1.2.3.4 127.0.0.1 65536 8192\r\n", ""},
	{"v1 bad destination port", "PROXY TCP4 1.2.3.4 127.0.0.1 1 x\r\n", ""},
	{"v1 bad word", "PROXY UDP4 1.2.3.4 127.0.0.1 1 2\r\n", ""},
	{"v1 no end", "PROXY " + strings.Repeat("x", 200), ""},
	{"v2 inet", v2(0x21, 0x11, inet4), "1.2.3.4"},
	{"v2 inet6", v2(0x21, 0x21, inet6), "::9"},
	{"v2 TLVs", v2(0x21, 0x11, inet4+"\x04\x00\x03abc"), "1.2.3.4"},
	{"v2 LOCAL", v2(0x20, 0x00, ""), "real"},
	{"v2 LOCAL with address", v2(0x20, 0x11, inet4), "real"},
	{"v2 UNSPEC STREAM", v2(0x21, 0x01, ""), "real"},
	{"v2 DGRAM", v2(0x21, 0x12, inet4), ""},
	{"v2 UNIX", v2(0x21, 0x31, strings.Repeat("x", 216)), ""},
	{"v2 version 3", v2(0x31, 0x11, inet4), ""},
	{"v2 command 2", v2(0x22, 0x11, inet4), ""},
	{"v2 UNSPEC", v2(0x21, 0x00, ""), ""},
	{"v2 short", v2(0x21, 0x11, "1234"), ""},
	{"v2 huge", v2(0x21, 0x11, strings.Repeat("x", 5000)), ""},
}

func TestProxyProtocol(t *testing.T) {
	p := newPKI(t)
	hubs := map[string]*hub{
		"plain": startHub(t, func(c *config.Config) { c.Client.ProxyProtocol = true }),
		"tls":   p.hub(func(c *config.Client) { c.ProxyProtocol = true }),
		"any":   p.hub(func(c *config.Client) { c.ProxyProtocol, c.AllowNonTLS = true, true }),
	}
	for name, h := range hubs {
		for _, row := range proxyRows {
			t.Run(name+"/"+row.name, func(t *testing.T) {
				c := h.raw(t)
				i := c.info()
				if i.ClientIP != "" {
					t.Errorf("first INFO tells the address %q", i.ClientIP)
				}
				// In two pieces, so that it is put together.
				half := len(row.header) / 2
				c.send(row.header[:half])
				c.send(row.header[half:])
				if row.ip == "" {
					if got := c.ended(); got != "" {
						t.Errorf("got %q", got)
					}
					if r := h.reasonOf(t, i.ClientID); r != wire.ReasonProtocolViolation {
						t.Errorf("closed for %q", r)
					}
					return
				}
				if name == "tls" {
					c = p.upgrade(c)
				}
				want := row.ip
				if want == "real" {
					want = "127.0.0.1"
				}
				if i := c.works(); i.ClientIP != want {
					t.Errorf("address %q", i.ClientIP)
				}
				if a := addrIP(h.registry.Get(i.ClientID).Info(false).Addr); a != want {
					t.Errorf("monitoring shows %q", a)
				}
			})
		}
	}
}

func TestProxyWithHandshakeFirst(t *testing.T) {
	p := newPKI(t)
	for _, mode := range []config.HandshakeMode{config.HandshakeOn, config.HandshakeAuto} {
		h := p.hub(func(c *config.Client) {
			c.ProxyProtocol = true
			c.TLS.HandshakeFirst = config.HandshakeFirst{Mode: mode, Fallback: 100 * time.Millisecond}
		})
		c := h.raw(t)
		c.send("PROXY TCP4 1.2.3.4 127.0.0.1 4096 8192\r\n")
		c = p.upgrade(c)
		if i := c.info(); i.ClientIP != "1.2.3.4" {
			t.Errorf("mode %v: address %q", mode, i.ClientIP)
		}
		c.works()
	}
}

// A direct client's first bytes tell at once that there is no header.
func TestProxyShortFirstWrite(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.Client.ProxyProtocol = true })
	c := h.dial(t)
	start := time.Now()
	c.send("PING\n")
	c.expect("PONG\r\n")
	if d := time.Since(start); d > time.Second {
		t.Errorf("answered after %s", d)
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, r := range proxyRows {
		f.Add([]byte(r.header + "PING\r\n"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err := parseProxy(b)
		if whole.size > len(b) {
			t.Fatalf("%d bytes of %d", whole.size, len(b))
		}
		if err == nil && whole.more && len(b) > proxyV2Fixed+proxyV2Max {
			t.Fatal("wants ever more")
		}
		// The result does not depend on how the bytes come.
		for n := 1; n <= len(b); n++ {
			part, perr := parseProxy(b[:n])
			if perr == nil && part.more {
				continue
			}
			if (perr == nil) != (err == nil) || perr == nil && (part.size != whole.size || part.source.String() != whole.source.String()) {
				t.Fatalf("whole: %v, %v; first %d: %v, %v", whole, err, n, part, perr)
			}
			break
		}
	})
}
