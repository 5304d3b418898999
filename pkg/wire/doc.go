// Package wire turns bytes into protocol operations and back, for every dialect of
// the protocol: clients, routes, gateways and leaf links.
//
// # Grammar
//
// Verbs match in any mix of case. SP stands for one or more blanks or tabs. EOL is LF with
// or without CR; we write CR LF. A payload has exactly total bytes, header first, and
// ends in CR LF. [x] may be missing; acct is missing on routes dedicated to one account.
//
//	everywhere
//	  INFO [SP] json EOL                                      server to client, or either way between servers
//	  CONNECT [SP] json EOL                                   whoever dialed
//	  PING ... EOL    PONG ... EOL    +OK ... EOL             the rest of the line is skipped
//	  -ERR SP 'text' EOL
//
//	client to server
//	  PUB SP subject [SP reply] SP total EOL payload
//	  HPUB SP subject [SP reply] SP hdr SP total EOL payload
//	  SUB SP subject [SP queue] SP sid EOL
//	  UNSUB SP sid [SP max] EOL
//	server to client
//	  MSG subject sid [reply] total CRLF payload
//	  HMSG subject sid [reply] hdr total CRLF payload
//
//	routes                                                    R: on routes, G: on gateways
//	  RS+ SP [acct] SP subject [SP queue SP weight] EOL       R G
//	  RS- SP [acct] SP subject [SP queue] EOL                 R G
//	  LS+ SP origin SP [acct] SP subject [SP queue SP weight] R     interest of a leaf cluster
//	  LS- SP [origin] SP [acct] SP subject [SP queue]         R     no origin from peers without lnocu
//	  A+ SP acct EOL    A- SP acct EOL                          G   ignored on routes
//	  RMSG SP [acct] SP subject TO SP total EOL payload       R G
//	  HMSG SP [acct] SP subject TO SP hdr SP total ...        R G
//	  LMSG SP origin SP [acct] SP subject TO SP hdr SP total  R     hdr 0: no header
//	  GMSG SP cluster SP acct SP subject TO SP hdr SP total   R     between our gwds
//	  GFENCE SP id EOL                                        R     between our hub and gwd
//
//	leaf links
//	  LS+ SP subject [SP queue SP weight] EOL
//	  LS- SP subject [SP queue] EOL
//	  LMSG SP subject TO SP total EOL payload
//	  HMSG SP subject TO SP hdr SP total EOL payload
//
//	TO is nothing                       plain subscribers, no reply
//	      SP reply                      plain subscribers
//	      SP | SP queue ...             plain subscribers and these groups, no reply
//	      SP + SP reply SP queue ...    plain subscribers and these groups
//
// Sizes are 1 to 9 digits. The arguments of a line are limited: 4096 bytes from clients, 65536
// from servers, by default.
//
// # Parsing
//
// A parser is a few settings and a method Next that is a function of them and the block: it
// keeps nothing between calls, so whoever reads the socket owns all state. Lines are
// found by searching for LF, arguments eight bytes at a time, payloads by their length.
//
//	var p wire.ClientParser // settings of the connection
//	var op wire.Op
//	for {
//		n, need, err := p.Next(block, &op)
//		if err != nil {
//			return err // *ProtoError: the -ERR to send, if any, and the close reason
//		}
//		if n == 0 {
//			break // read on, to at least need bytes when need > 0
//		}
//		handle(&op) // its slices point into block
//		block = block[n:]
//	}
//
// # What it promises
//
// Messages and interest are parsed and written without allocation. No function does I/O,
// starts a goroutine or reads a clock. Any bytes from a stranger end in an Op, in a
// *ProtoError, or in a wish for more bytes that is bounded by the limits; how they
// were cut into blocks changes nothing.
//
// Besides, the package holds the vocabulary that both ends of a link must agree on: the JSON of
// INFO and CONNECT, one file for each kind of link; the exact texts of -ERR; close reasons;
// hashes and prefixes of names; header blocks; compression modes.
//
// It imports only the standard library.
package wire
