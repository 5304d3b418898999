// Package workload is a client of the SPIFFE Workload API: it asks the agent on
// this machine who this process is and gets X.509 identities (SVIDs), their keys
// and the authorities of trust domains, and again whenever they change.
//
// The API is one gRPC method with an empty request and a stream of answers
// (https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Workload_API.md). It
// is spoken here over the standard library's HTTP/2 without TLS, because the agent
// is reached by a local socket; what the usual libraries for it bring along would
// make a leafd half as large again.
//
//	c, err := workload.New("unix:///run/spire/agent.sock")
//	c.Watch(ctx, func(u *workload.Update) { ... }, func(err error) { ... })
//
// It stands on the ground floor and imports no other package of Banyan.
package workload
