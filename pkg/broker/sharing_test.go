package broker

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/subject"
)

func acct(name string, parts ...any) account.Definition {
	d := account.Definition{Name: name}
	for _, p := range parts {
		switch p := p.(type) {
		case account.Export:
			d.Exports = append(d.Exports, p)
		case account.Import:
			d.Imports = append(d.Imports, p)
		case account.Mapping:
			d.Mappings = append(d.Mappings, p)
		}
	}
	return d
}

func stream(s string) account.Export { return account.Export{Kind: account.Stream, Subject: s} }

func service(s string) account.Export { return account.Export{Kind: account.Service, Subject: s} }

func importStream(from, subj, prefix string) account.Import {
	return account.Import{Kind: account.Stream, From: from, Subject: subj, Prefix: prefix}
}

func importService(from, subj, to string) account.Import {
	return account.Import{Kind: account.Service, From: from, Subject: subj, To: to}
}

// talk is the example of two foundations.
func talk() []account.Definition {
	return []account.Definition{
		acct("ACME", stream("acme.>"), service("hello")),
		acct("CNCF", importStream("ACME", "acme.>", "cncf"), importService("ACME", "hello", "cncf.hello")),
	}
}

func define(t testing.TB, b *Broker, defs ...account.Definition) {
	t.Helper()
	if err := b.Share(defs); err != nil {
		t.Fatal(err)
	}
}

// party is a client in an account that keeps what it gets.
type party struct {
	t    testing.TB
	a    *Account
	port *Port
	in   *Inlet
	got  []Msg
}

func (p *party) Deliver(m *Msg, s *Sub) bool {
	if s.State.Gone {
		return false
	}
	if s.Account != p.a {
		p.t.Errorf("a message for the subscription to %s of account %s", s.Subject, s.Account.Name)
	}
	kept := Msg{Subject: bytes.Clone(m.Subject), Reply: bytes.Clone(m.Reply), Payload: bytes.Clone(m.Payload), HdrLen: m.HdrLen}
	p.got = append(p.got, kept)
	return true
}

func (p *party) DeliverOnce(m *Msg, plain bool, groups [][]byte) bool {
	text := ""
	if plain {
		text = "+"
	}
	for _, g := range groups {
		text += " " + string(g)
	}
	p.got = append(p.got, Msg{Subject: bytes.Clone(m.Subject), Reply: bytes.Clone(m.Reply), Payload: []byte(text)})
	return true
}

func (p *party) Flush() {}

func (b *Broker) party(t testing.TB, name string) *party {
	return b.partyOf(t, name, Client, FromClient)
}

func (b *Broker) partyOf(t testing.TB, name string, c Class, reach Set) *party {
	p := &party{t: t, a: b.Account(name)}
	p.port = &Port{ID: b.NextID(), Class: c, Reach: reach, Origin: Origin{Class: c}, Aggregate: c != Client, Sink: p}
	p.in = b.NewInlet(p.port)
	return p
}

func (p *party) sub(subj string, queue ...string) *Sub {
	return subscribe(p.a, p.port, subj, strings.Join(queue, ""), TierDirect, 1)
}

func (p *party) pub(subj, reply, payload string) int {
	m := &Msg{Account: p.a, Subject: []byte(subj), Payload: []byte(payload), Listed: p.port.Class == Route}
	if reply != "" {
		m.Reply = []byte(reply)
	}
	return p.in.Publish(m)
}

// want takes what came and compares subjects and bodies.
func (p *party) want(list ...string) {
	p.t.Helper()
	got := []string{}
	for _, m := range p.got {
		got = append(got, string(m.Subject)+" "+string(m.Payload[m.HdrLen:]))
	}
	p.got = nil
	slices.Sort(got)
	slices.Sort(list)
	if !slices.Equal(got, list) {
		p.t.Errorf("%s got %q, want %q", p.a.Name, got, list)
	}
}

func TestTalk(t *testing.T) {
	b := New("S", "C", "")
	define(t, b, talk()...)
	ticker, hello := b.party(t, "ACME"), b.party(t, "ACME")
	reader, asker := b.party(t, "CNCF"), b.party(t, "CNCF")
	reader.sub("cncf.acme.>")
	hello.sub("hello", "workers")
	asker.sub("_INBOX.a")

	if n := ticker.pub("acme.ticker", "", "tick"); n != 1 {
		t.Errorf("published to %d", n)
	}
	reader.want("cncf.acme.ticker tick")
	if n := asker.pub("cncf.acme.ticker", "", "fake"); n != 1 {
		t.Errorf("published to %d", n) // to CNCF's own
	}
	reader.want("cncf.acme.ticker fake")
	hello.want()

	if n := asker.pub("cncf.hello", "_INBOX.a", "hi"); n != 1 {
		t.Errorf("requested from %d", n)
	}
	if len(hello.got) != 1 {
		t.Fatalf("got %d requests", len(hello.got))
	}
	req := hello.got[0]
	hello.want("hello hi")
	if h := string(req.Payload[:req.HdrLen]); h != "NATS/1.0\r\nNats-Request-Info: {\"acc\":\"CNCF\"}\r\n\r\n" {
		t.Errorf("header %q", h)
	}
	if r := string(req.Reply); len(r) != len("_R_.xxxxxx.yyyyyy") || !strings.HasPrefix(r, "_R_.") {
		t.Errorf("reply %q", r)
	}
	if n := hello.pub(string(req.Reply), "", "hello, CNCF"); n != 1 {
		t.Errorf("answered to %d", n)
	}
	asker.want("_INBOX.a hello, CNCF")
	if n := hello.pub(string(req.Reply), "", "once more"); n != 0 {
		t.Errorf("answered twice")
	}
	asker.want()
}

// TestShadows: which subscriptions of an importer get what, and what interest they make.
func TestShadows(t *testing.T) {
	b := New("S", "C", "")
	define(t, b, acct("A", stream(">")),
		acct("B", importStream("A", "pub.>", "fromA"), account.Import{From: "A", Subject: "m.*.*.*", To: "m3.$2.$3.$1"}))
	a := b.party(t, "A")
	w := &watcher{keys: map[string]int32{}, set: Client}
	b.Account("A").Watch(w, nil, nil)
	for _, c := range []struct {
		sub, interest string
		pub, want     string
	}{
		{">", "m.*.*.*,pub.>", "pub.x", "fromA.pub.x"},
		{"fromA.>", "pub.>", "pub.x.y", "fromA.pub.x.y"},
		{"fromA.pub.x", "pub.x", "pub.x", "fromA.pub.x"},
		{"fromA.*.x", "pub.x", "pub.x", "fromA.pub.x"},
		{"*.*.x.>", "m.>,pub.x.>", "pub.x.z", "fromA.pub.x.z"},
		{"m3.>", "m.*.*.*", "m.a.b.c", "m3.b.c.a"},
		{"m3.b.c.a", "m.a.b.c", "m.a.b.c", "m3.b.c.a"},
		{"m3.*.c.*", "m.*.*.c", "m.a.b.c", "m3.b.c.a"},
		{"fromA", "", "pub.x", ""},
		{"other.>", "", "pub.x", ""},
	} {
		p := b.party(t, "B")
		s := p.sub(c.sub)
		var keys []string
		for k := range w.keys {
			keys = append(keys, strings.TrimSpace(strings.Trim(k, "\x00")))
		}
		slices.Sort(keys)
		if c.sub != "*.*.x.>" && strings.Join(keys, ",") != c.interest {
			t.Errorf("%s makes interest in %q, want %s", c.sub, keys, c.interest)
		}
		a.pub(c.pub, "r", "1")
		if c.want != "" {
			if len(p.got) == 1 && string(p.got[0].Reply) != "r" {
				t.Errorf("reply became %q", p.got[0].Reply)
			}
			p.want(c.want + " 1")
		} else {
			p.want()
		}
		p.a.Unsubscribe(s)
		if len(w.keys) > 0 {
			t.Errorf("%s leaves interest %v", c.sub, w.keys)
		}
		if n := a.pub(c.pub, "", "2"); n != 0 {
			t.Errorf("%s is still served", c.sub)
		}
	}
	if n := len(b.sharing.shadows); n != 0 {
		t.Errorf("%d subscriptions are remembered", n)
	}
}

// TestGroupAcrossAccounts: a queue group of one name is one group.
func TestGroupAcrossAccounts(t *testing.T) {
	b := New("S", "C", "")
	define(t, b, acct("A", stream("x.>")), acct("B", importStream("A", "x.>", "p")))
	a, inA, inB := b.party(t, "A"), b.party(t, "A"), b.party(t, "B")
	inA.sub("x.1", "q")
	inB.sub("p.x.>", "q")
	for range 1000 {
		if n := a.pub("x.1", "", ""); n != 1 {
			t.Fatalf("to %d", n)
		}
	}
	if x, y := len(inA.got), len(inB.got); x+y != 1000 || x < 350 || y < 350 {
		t.Errorf("%d and %d of 1000", x, y)
	}
	if string(inB.got[0].Subject) != "p.x.1" {
		t.Errorf("shown as %s", inB.got[0].Subject)
	}
}

// TestLinks: what other servers send is never converted, and leaf links are served as
// clients are, one line each.
func TestLinks(t *testing.T) {
	b := New("S", "C", "")
	define(t, b, talk()...)
	leaf := b.partyOf(t, "CNCF", LeafDown, FromLeafDown)
	leafA := b.partyOf(t, "ACME", LeafDown, FromLeafDown)
	route := b.partyOf(t, "CNCF", Route, FromRoute)
	routeA := b.partyOf(t, "ACME", Route, FromRoute)
	hello := b.party(t, "ACME")
	hello.sub("hello")
	leaf.sub("cncf.acme.*")
	leaf.sub("cncf.>")
	leaf.sub("cncf.acme.t", "q")
	route.sub("cncf.acme.*")
	routeA.sub("acme.*")

	hello.pub("acme.t", "", "1")
	leaf.want("cncf.acme.t + q")
	route.want()
	routeA.want("acme.t +")
	routeA.pub("acme.t", "", "2")
	leaf.want("cncf.acme.t +") // a route lists groups
	leafA.pub("acme.t", "", "3")
	leaf.want("cncf.acme.t + q")
	routeA.got = nil

	if n := route.pub("cncf.hello", "r", "no"); n != 1 {
		t.Errorf("from a route to %d", n) // to cncf.> at the leaf
	}
	hello.want()
	leaf.want("cncf.hello +")
	leaf.sub("r")
	leaf.pub("cncf.hello", "r", "yes")
	reply := string(hello.got[0].Reply)
	hello.want("hello yes")
	routeA.pub(reply, "", "back")
	leaf.want("r +")
}

func TestServiceChainAndCircle(t *testing.T) {
	b := New("S", "C", "")
	define(t, b,
		acct("A", service("s.*")),
		acct("B", importService("A", "s.*", "t.$1"), service("t.*")),
		acct("C", importService("B", "t.*", "u.$1")))
	a, c := b.party(t, "A"), b.party(t, "C")
	c.sub("inbox")
	if n := c.pub("u.1", "inbox", ""); n != 0 {
		t.Errorf("nobody is there, to %d", n)
	}
	if n := len(b.Account("A").answers.Load().open) + len(b.Account("B").answers.Load().open) + len(b.Account("C").pending.Load().byReply); n != 0 {
		t.Errorf("%d answers are waited for", n)
	}
	a.sub("s.1")
	if n := c.pub("u.1", "inbox", "q"); n != 1 {
		t.Errorf("to %d", n)
	}
	m := a.got[0]
	if h := string(m.Payload[:m.HdrLen]); !strings.Contains(h, `{"acc":"C","svc":"B"}`) {
		t.Errorf("header %q", h)
	}
	a.want("s.1 q")
	a.pub(string(m.Reply), "", "w")
	c.want("inbox w")

	// A circle through wildcards, which definitions alone do not show.
	b = New("S", "C", "")
	define(t, b, acct("A", service("x.>"), importService("A", "x.>", "x.y.>")))
	a = b.party(t, "A")
	if n := a.pub("x.y.y.y", "", "spin"); n != 0 {
		t.Errorf("to %d", n)
	}
}

func TestResponseTypes(t *testing.T) {
	b := New("S", "C", "")
	many := service("many")
	many.Response, many.Threshold = account.Streamed, 50*time.Millisecond
	quick := service("quick")
	quick.Threshold = 20 * time.Millisecond
	define(t, b, acct("A", many, quick), acct("B", importService("A", "many", ""), importService("A", "quick", "")))
	a, c := b.party(t, "A"), b.party(t, "B")
	a.sub("*")
	c.sub("inbox")
	ask := func(subj string) string {
		c.pub(subj, "inbox", "")
		r := string(a.got[len(a.got)-1].Reply)
		a.got = nil
		return r
	}
	waiting := func() int {
		o := b.Account("A").answers.Load()
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.open)
	}
	until := func(n int) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); waiting() != n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d answers are waited for, not %d", waiting(), n)
			}
		}
	}
	r := ask("many")
	a.pub(r, "", "1")
	a.pub(r, "", "2")
	a.pub(r, "", "")
	if n := a.pub(r, "", "3"); n != 0 {
		t.Error("an answer after the last")
	}
	c.want("inbox 1", "inbox 2", "inbox ")
	for _, s := range []string{"many", "quick"} {
		r = ask(s)
		until(0)
		if n := a.pub(r, "", "late"); n != 0 {
			t.Errorf("a late answer of %s", s)
		}
	}
	// Nobody waits any more.
	c2 := b.party(t, "B")
	for _, pattern := range []string{"box.1", "box.*"} {
		s := c2.sub(pattern)
		c2.pub("many", "box.1", "")
		if waiting() != 1 {
			t.Errorf("%d wait", waiting())
		}
		c2.a.Unsubscribe(s)
		if n := waiting(); n != 0 || len(c2.a.pending.Load().byReply) != 0 {
			t.Errorf("%d wait after the requester left", n)
		}
	}
	// Two requests with one reply, and a requester that is asked in turn.
	r1, r2 := ask("many"), ask("many")
	a.pub(r1, "", "one")
	a.pub(r2, "back", "two")
	back := string(c.got[len(c.got)-1].Reply)
	c.want("inbox one", "inbox two")
	if !strings.HasPrefix(back, "_R_.") {
		t.Fatalf("reply of an answer is %q", back)
	}
	a.got = nil
	c.pub(back, "", "in turn")
	a.want("back in turn")
}

func TestRequestInfoIsReplaced(t *testing.T) {
	b := New("S", "C", "")
	shared := importService("A", "s", "mine")
	shared.Share = true
	define(t, b, acct("A", service("s")), acct("B", importService("A", "s", ""), shared))
	a, c := b.party(t, "A"), &introduced{party: b.party(t, "B")}
	c.port.Sink = c
	a.sub("s")
	hdr := "NATS/1.0\r\nX: 1\r\nnats-request-info: {\"acc\":\"A\"}\r\nNats-Request-Info : {}\nY: 2\r\n\r\n"
	for subj, want := range map[string]string{
		"s":    `{"acc":"B","rtt":5}`,
		"mine": `{"host":"h","id":7,"acc":"B","user":"u","rtt":5,"kind":"Client"}`,
	} {
		c.in.Publish(&Msg{Account: c.a, Subject: []byte(subj), HdrLen: len(hdr), Payload: []byte(hdr + "body")})
		m := a.got[0]
		if got := string(m.Payload[:m.HdrLen]); got != "NATS/1.0\r\nX: 1\r\nY: 2\r\nNats-Request-Info: "+want+"\r\n\r\n" {
			t.Errorf("header %q", got)
		}
		a.want("s body")
	}
}

type introduced struct{ *party }

func (introduced) RTT() time.Duration { return 5 }
func (introduced) Introduce() Requester {
	return Requester{Host: "h", ID: 7, Account: "lie", User: "u", Kind: "Client"}
}

func TestMap(t *testing.T) {
	b := New("S", "west", "")
	to := func(list ...account.Destination) []account.Destination { return list }
	define(t, b, acct("A",
		account.Mapping{Source: "a", To: to(account.Destination{Subject: "b", Weight: 100})},
		account.Mapping{Source: "b", To: to(account.Destination{Subject: "c", Weight: 100})},
		account.Mapping{Source: "w.*", To: to(account.Destination{Subject: "x.$1", Weight: 20}, account.Destination{Subject: "y.$1", Weight: 30})},
		account.Mapping{Source: "l", To: to(account.Destination{Subject: "l", Weight: 50})},
		account.Mapping{Source: "c1", To: to(account.Destination{Subject: "west", Weight: 100, Cluster: "west"}, account.Destination{Subject: "rest", Weight: 100})}))
	a := b.party(t, "A")
	if !a.a.Maps() || b.Account("B").Maps() {
		t.Error("who maps")
	}
	for in, want := range map[string]string{"a": "b", "z": "z", "c1": "west"} {
		if got, ok := a.in.Map(a.a, []byte(in)); !ok || string(got) != want {
			t.Errorf("%s is mapped to %s", in, got)
		}
	}
	b.SetCluster("east")
	if got, _ := a.in.Map(a.a, []byte("c1")); string(got) != "rest" {
		t.Errorf("mapped to %s elsewhere", got)
	}
	count := map[string]int{}
	for range 10000 {
		if got, ok := a.in.Map(a.a, []byte("w.1")); ok {
			count[string(got)]++
		}
		if _, ok := a.in.Map(a.a, []byte("l")); !ok {
			count["lost"]++
		}
	}
	for k, want := range map[string]int{"x.1": 2000, "y.1": 3000, "w.1": 5000, "lost": 5000} {
		if n := count[k]; n < want-160 || n > want+160 {
			t.Errorf("%s: %d of 10000, want about %d", k, n, want)
		}
	}
	subj := []byte("w.1")
	if n := testing.AllocsPerRun(1000, func() { a.in.Map(a.a, subj) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	// A mapped subject stays as it is while messages are put off.
	s := b.party(t, "A")
	k := &sink{}
	s.port.Batched(k)
	s.sub(">")
	for i := range 100 {
		to, _ := a.in.Map(a.a, []byte(fmt.Sprintf("w.%d", i/10)))
		a.in.Enqueue(&Msg{Account: a.a, Subject: to, Payload: []byte(bytes.Clone(to))})
	}
	a.in.Flush()
	for _, d := range k.take() {
		if d.subject != d.payload {
			t.Fatalf("a message for %s came on %s", d.payload, d.subject)
		}
	}
	define(t, b, acct("A"))
	if a.a.Maps() || a.a.Subscriptions() != 1 {
		t.Error("mappings that were taken away remain")
	}
}

// TestServiceMapped: the exporter's own mappings apply to requests.
func TestServiceMapped(t *testing.T) {
	b := New("S", "C", "")
	define(t, b,
		acct("A", service("s"), account.Mapping{Source: "s", To: []account.Destination{{Subject: "v2", Weight: 100}}}),
		acct("B", importService("A", "s", "")))
	a, c := b.party(t, "A"), b.party(t, "B")
	a.sub(">")
	c.pub("s", "", "1")
	a.want("v2 1")
}

// TestShareAgain: what changes applies to the subscriptions there are, what stays
// loses nothing.
func TestShareAgain(t *testing.T) {
	b := New("S", "C", "")
	a, c := b.party(t, "ACME"), b.party(t, "CNCF")
	c.sub(">")
	a.sub("hello")
	a.pub("acme.1", "", "")
	c.want()
	define(t, b, talk()...)
	a.pub("acme.1", "", "")
	c.want("cncf.acme.1 ")
	next := talk()
	next[1].Imports[0].Prefix = "p"
	next[1].Imports[1].To = "hi"
	define(t, b, next...)
	a.pub("acme.1", "", "")
	c.want("p.acme.1 ")
	c.pub("hi", "", "")
	c.pub("cncf.hello", "", "")
	a.want("hello ")
	c.want("hi ", "cncf.hello ")
	next[1].Imports = nil
	define(t, b, next...)
	a.pub("acme.1", "", "")
	c.pub("hi", "", "")
	a.want()
	c.want("hi ")
	if n := b.Account("ACME").Subscriptions() + b.Account("CNCF").Subscriptions() + len(b.sharing.shadows); n != 2 {
		t.Errorf("%d subscriptions remain", n)
	}
	bad := talk()
	bad[0].Exports = nil
	if err := b.Share(bad); err == nil || err.Error() != "account CNCF: stream import not authorized" {
		t.Errorf("%v", err)
	}
}

// TestNotThroughStream: a request does not go on through the exporter's streams.
func TestNotThroughStream(t *testing.T) {
	b := New("S", "C", "")
	define(t, b, acct("A", stream(">"), service("s")), acct("B", importService("A", "s", "")), acct("C", importStream("A", ">", "")))
	c, d := b.party(t, "B"), b.party(t, "C")
	leaf := b.partyOf(t, "C", LeafDown, FromLeafDown)
	leaf.sub(">")
	d.sub(">")
	d.sub("s", "q")
	if n := c.pub("s", "", ""); n != 0 {
		t.Errorf("to %d", n)
	}
	d.want()
	leaf.want()
	b.party(t, "A").pub("s", "", "")
	if len(d.got) != 2 || len(leaf.got) != 1 {
		t.Errorf("%d and %d", len(d.got), len(leaf.got))
	}
}

// TestStreamModel: what an importer's subscriptions get is what renaming each message
// by hand gives.
func TestStreamModel(t *testing.T) {
	shapes := []struct{ subj, to string }{
		{">", "p.>"}, {"a.>", ""}, {"a.*", "x.$1"}, {"*.*", "y.$2.$1"}, {"*.b.*", "z.$2.c.$1"}, {"a.b", "l"},
	}
	rapid.Check(t, func(rt *rapid.T) {
		b := New("S", "C", "")
		var imports []any
		var used []account.Import
		for _, s := range rapid.SliceOfNDistinct(rapid.SampledFrom(shapes), 1, 4, func(s struct{ subj, to string }) string { return s.subj }).Draw(rt, "imports") {
			i := account.Import{From: "A", Subject: s.subj, To: s.to}
			imports, used = append(imports, i), append(used, i)
		}
		define(t, b, acct("A", stream(">")), acct("B", imports...))
		token := rapid.SampledFrom([]string{"a", "b", "c", "x", "y", "z", "p", "*"})
		var subs []*Sub
		c := b.party(t, "B")
		for range rapid.IntRange(1, 12).Draw(rt, "operations") {
			if len(subs) > 0 && rapid.IntRange(0, 3).Draw(rt, "drop") == 0 {
				at := rapid.IntRange(0, len(subs)-1).Draw(rt, "which")
				c.a.Unsubscribe(subs[at])
				subs = slices.Delete(subs, at, at+1)
				continue
			}
			p := rapid.SliceOfN(token, 1, 4).Draw(rt, "pattern")
			if rapid.Bool().Draw(rt, "rest") {
				p[len(p)-1] = ">"
			}
			subs = append(subs, c.sub(strings.Join(p, ".")))
		}
		a := b.party(t, "A")
		for _, subj := range []string{"a", "a.b", "a.c", "b.b.c", "c.b.a", "a.b.c", "x.y"} {
			var want []string
			for _, i := range used {
				if !subject.Match(i.Subject, subj) {
					continue
				}
				tr, err := i.Local()
				if err != nil {
					rt.Fatal(err)
				}
				local := string(tr.Append(nil, []byte(subj)))
				for _, s := range subs {
					if subject.Match(s.Subject, local) {
						want = append(want, local+" ")
					}
				}
			}
			a.pub(subj, "", "")
			c.want(want...)
			if t.Failed() {
				rt.Fatalf("publishing %s", subj)
			}
		}
	})
}

func BenchmarkCross(b *testing.B) {
	br := New("S", "C", "")
	define(b, br, talk()...)
	in := func(name string) (*Account, *Port, *Inlet) {
		p := &Port{Class: Client, Reach: FromClient, Origin: Origin{Class: Client}, Sink: blackhole{}}
		return br.Account(name), p, br.NewInlet(p)
	}
	acme, server, ticker := in("ACME")
	cncf, client, asker := in("CNCF")
	subscribe(cncf, client, "cncf.acme.>", "", TierDirect, 1)
	subscribe(acme, server, "hello", "", TierDirect, 1)
	subscribe(cncf, client, "inbox", "", TierDirect, 1)
	payload := make([]byte, 128)
	b.Run("stream", func(b *testing.B) {
		b.ReportAllocs()
		m := &Msg{Account: acme, Subject: []byte("acme.ticker"), Payload: payload}
		for b.Loop() {
			ticker.Publish(m)
		}
	})
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		m := &Msg{Account: cncf, Subject: []byte("cncf.hello"), Payload: payload}
		for b.Loop() {
			asker.Publish(m)
		}
	})
}

// TestSharingInParallel: subscriptions, messages, requests and new definitions all at once
// leave nothing behind. To be run with the race detector.
func TestSharingInParallel(t *testing.T) {
	b := New("S", "C", "")
	for _, name := range []string{"ACME", "CNCF"} {
		b.Account(name).Watch(&watcher{keys: map[string]int32{}, set: Client}, nil, nil)
	}
	stop := make(chan struct{})
	var churn, others sync.WaitGroup
	for i := range 4 {
		churn.Go(func() {
			p, _ := newPort(b, Client, FromClient, "")
			a := b.Account("CNCF")
			for n := range 300 {
				var subs []*Sub
				for _, s := range []string{"cncf.>", "cncf.acme.x", ">", "in.*"} {
					subs = append(subs, subscribe(a, p, s, []string{"", "q"}[n%2], TierDirect, 1))
				}
				if i%2 == 0 {
					a.UnsubscribeAll(subs)
					continue
				}
				for _, s := range subs {
					a.Unsubscribe(s)
				}
			}
		})
	}
	for _, pub := range [][3]string{{"ACME", "acme.x", ""}, {"CNCF", "cncf.hello", "in.1"}} {
		others.Go(func() {
			p, _ := newPort(b, Client, FromClient, "")
			in := b.NewInlet(p)
			for {
				select {
				case <-stop:
					return
				default:
				}
				in.Publish(&Msg{Account: b.Account(pub[0]), Subject: []byte(pub[1]), Reply: []byte(pub[2])})
			}
		})
	}
	others.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			defs := talk()
			if n%2 == 0 {
				defs[1].Imports[0].Prefix = "cncf.acme"
			}
			if n%3 == 0 {
				defs[1].Imports = nil
			}
			if err := b.Share(defs); err != nil {
				t.Error(err)
			}
		}
	})
	churn.Wait()
	close(stop)
	others.Wait()
	define(t, b, acct("ACME"), acct("CNCF"))
	left := 0
	b.Account("ACME").EachSub(func(s *Sub) bool {
		if s.extra == nil || s.extra.answers == nil {
			left++
		}
		return true
	})
	if n := b.Account("CNCF").Subscriptions(); n != 0 || left != 0 || len(b.sharing.shadows) != 0 {
		t.Errorf("%d and %d subscriptions and %d shadows remain", n, left, len(b.sharing.shadows))
	}
	if p := b.Account("CNCF").pending.Load(); p != nil && len(p.byReply) != 0 {
		t.Errorf("%d answers are waited for", len(p.byReply))
	}
}

func BenchmarkMap(b *testing.B) {
	br := New("S", "C", "")
	define(b, br, acct("A",
		account.Mapping{Source: "orders.*.*", To: []account.Destination{{Subject: "orders.{{partition(8,1)}}.$1.$2", Weight: 100}}},
		account.Mapping{Source: "canary.*", To: []account.Destination{{Subject: "v1.$1", Weight: 90}, {Subject: "v2.$1", Weight: 10}}}))
	a := br.Account("A")
	in := br.NewInlet(&Port{Class: Client, Reach: FromClient, Sink: blackhole{}})
	for name, subj := range map[string]string{"partition": "orders.eu.1234567", "weighted": "canary.x", "not_mapped": "_INBOX.abcdefgh.1"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			s := []byte(subj)
			for b.Loop() {
				in.Map(a, s)
			}
		})
	}
}
