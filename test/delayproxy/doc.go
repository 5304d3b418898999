// Package delayproxy is a TCP proxy that makes a local connection look like a long one: it forwards bytes after half a
// configured round-trip time, counts connections and bytes, and can freeze or cut everything that passes.
//
// It promises order and integrity of the bytes, the delay for each byte (not less, and no more than the machine's load
// adds), bounded memory per connection (a sender that is too fast is held by back-pressure, as by a real window), and that
// Close leaves neither connections nor goroutines. Throughput is bounded by Window per round trip at most, like a real link's.
//
//	p, err := delayproxy.Start(delayproxy.Config{Target: "127.0.0.1:7222", RTT: 80 * time.Millisecond})
//	defer p.Close()
//	dial(p.Addr())
//	p.Freeze() // nothing moves, nobody is told
//	p.Thaw()
//	p.Cut()    // every connection is reset
//
// It may import the standard library only.
package delayproxy
