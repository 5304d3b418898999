// Package claims is the protocol in the system account by which tokens of
// accounts are pushed to servers, looked up at other servers, listed, deleted,
// and exchanged between servers that hold all of them (jwt-operator 10).
//
// What comes in is checked by [operator.Operator] before it is kept or believed;
// who may publish in the system account decides nothing.
//
// The package may import system, operator and what those may.
package claims
