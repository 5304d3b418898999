// Package process has what operating systems differ in about processes: the signals by
// which a daemon is told to reopen its log and to drain, sending one, and whether a
// process is there. On Windows a process can only be ended.
//
// It stands on the ground floor and imports golang.org/x/sys only.
package process
