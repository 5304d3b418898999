// Package daemon is one process's life: identity, parts started in order,
// pid and ports files, signals, lame duck, clean stop.
//
// A daemon's main says which parts it is made of (see [Part]); nothing here
// asks which daemon it is. A Process can be run inside a test as well.
package daemon
