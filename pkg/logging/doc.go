// Package logging writes the daemons' log on top of zap.
//
// The text layout is the one that people grep and test suites scrape
// (config-cli 13):
//
//	[4711] 2026/01/02 15:04:05.000000 [INF] Server is ready
//	[4711] 2026/01/02 15:04:05.000123 [ERR] 127.0.0.1:50112 - cid:5 - authentication error
//
// FormatJSON writes one object a line instead. A Log owns the destination; a
// Logger is a cheap handle on it with an optional connection prefix:
//
//	log, err := logging.New(logging.Options{File: "hubd.log", Debug: true})
//	l := log.Logger()
//	l.Noticef("Listening for client connections on %s", addr)
//	c := l.WithPrefix(`127.0.0.1:50112 - cid:5 - "v1.53:go"`)
//	c.Debugf("Client connection created")
//
// A disabled level costs one atomic load and never formats. Passing arguments
// through ...any may still allocate at the caller, so hot paths ask
// TraceEnabled first.
//
// Levels, destination and rotation can change while others write: SetLevels,
// Reopen and Reconfigure are safe at any moment. A line is written by one
// write call, under one lock. Control characters in a line are escaped, so
// that a client's name cannot forge a line or drive a terminal.
//
// A system logger gets lines from a bounded queue; nobody waits for it. That is
// the package's only goroutine, and Close ends it.
//
// Nothing is global: two daemons in one test process have two logs. The
// package stands on the ground floor, and imports no
// other package of this module.
package logging
