// Package transport owns sockets: it reads blocks of bytes for a link's
// handler, queues what goes out, and writes it without ever holding up the
// goroutine that produced it.
//
// # Reading
//
// A Conn has one reading goroutine (whoever calls Serve). A read buffer is
// taken from a pool when bytes are there and given back when the block has
// been handled, so an idle connection owns none. The handler is given
// everything that it has not consumed yet and says how much it consumed and,
// if it knows, how many bytes the next operation needs; the Conn keeps the
// rest and grows the buffer to fit.
//
// # Writing
//
// Any goroutine may append to a Conn's outbound queue (Reserve/Commit, or
// Write) and flush it. Flush makes one non-blocking attempt on the caller's
// goroutine; what the socket does not take is left to a goroutine that exists
// only while there is something left to write. Bytes leave in the order in
// which they were committed. See [Conn] for the invariants.
//
// # Layers
//
// TLS and S2 sit between the queue and the socket: what is queued is plain,
// it is encoded when it is written, into full TLS records and into one S2
// stream a flush. Every kind of link has the same footing.
//
// The package knows nothing of protocols, accounts or configuration. It may
// import only the standard library and the compression library.
package transport
