// Package e2e holds the end-to-end tests: real processes of hubd, gwd, leafd and the reference server, and applications
// that use the official client. They take seconds each; the long forms are in test/soak.
package e2e
