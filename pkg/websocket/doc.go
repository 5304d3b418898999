// Package websocket is WebSocket (RFC 6455 with RFC 7692) without sockets: a
// codec between the bytes of a connection and the byte stream that its data
// frames carry, and both sides' rules of the HTTP upgrade.
//
// [Codec] is a state machine that is pushed: it is given the bytes that arrived
// and appends what they carry, it is given what is to be sent and appends the
// frames. It starts no goroutine and owns no buffer while its connection is idle:
// compressors and decompressors are borrowed for one call or one message. Frame
// and message boundaries mean nothing; what is inside is the client protocol,
// that of leaf links, or MQTT.
//
//	c := websocket.NewCodec(websocket.Options{Compress: true})
//	for {
//		plain, n, reply, err := c.Decode(plain[:0], arrived)
//		arrived = arrived[n:]
//		...                                          // handle plain; err ends the connection
//		if n == 0 && len(plain) == 0 { break }       // all was taken: wait for more
//	}
//	out, err = c.Encode(out, line)                   // also what Decode wants to answer
//	out = c.Farewell(out, cause)                     // the close frame
//
// The upgrade is a request head and an answer: [ParseRequest], [Rules.Check] and
// [AppendAccept] or [AppendRefusal] at the side that listens, [AppendRequest] and
// [CheckResponse] at the side that dials.
//
// What it promises: no input makes it panic or hold more than it says; a refusal
// has the text and the close code that websocket 8 and 12 name.
//
// The package may import the standard library and the compression library only.
package websocket
