// Package client serves applications: the client protocol over TCP and TLS.
//
// A connection is opened by straight-line code on its own goroutine (PROXY
// header, TLS, INFO: accept.go), then its blocks of bytes are handled one by one
// (conn.go): parsed, authenticated (connect.go), published (publish.go) and
// subscribed (subscribe.go). What others publish comes in by Deliver
// (deliver.go), on their goroutines. There is no other goroutine per connection,
// and an idle one owns no buffers.
//
// Three things guard a connection's state, and each field says which:
//
//   - the reader: only the goroutine of the connection looks at it;
//
//   - mu: short sections that change what a connection is (subscriptions, timers,
//     why it closes);
//
//   - the queue's lock, which transport holds between Reserve and Commit: what
//     Deliver looks at. It is taken inside mu, never the other way round.
//
//     s := client.New(client.Options{Server: me, Broker: b, Registry: link.NewRegistry(10_000), URLs: new(link.URLs),
//     Auth: auth.FromConfig(cfg), Settings: cfg, Log: log})
//     if err := s.Start(); err != nil { ... }
//     defer s.Close()
//     ...
//     s.Drain(ctx, cfg.LameDuck.Duration, cfg.LameDuck.Grace) // lame duck
//
// The package may import auth, link, broker and the ground floor.
package client
