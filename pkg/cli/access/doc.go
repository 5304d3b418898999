// Package access is the command "check access": it says in words whether a user may
// publish or subscribe to a subject by given settings, by which rule, and where
// messages go. It stands beside package cli so that a daemon without users does not
// link what it needs.
//
// Verdicts are those of pkg/auth, by which the daemons judge; what is said about the
// rules is found by looking through the same lists.
package access
