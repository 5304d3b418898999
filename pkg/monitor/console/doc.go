// Package console is the page at /ui for people: what a daemon does, its links to
// others as a picture, connections, accounts and settings. It is read-only, one page
// that is part of the binary and asks nobody but the server it came from.
//
// It may import monitor and what that may.
package console
