// Package host compares a machine with what a daemon's settings need: limits of
// files, memory and processors, kernel settings of the network, the clock, the
// directories that are written to, and the service that starts the daemon.
//
// Look only reads. All that it reads comes through [Machine], so that tests give it a
// machine of their own; what a system does not show is reported as not seen, never
// guessed. A finding says what is there, what is wanted, why, and the line that
// changes it.
//
// It imports config only.
package host
