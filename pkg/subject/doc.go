// Package subject holds the vocabulary of subjects: which forms are valid, and
// how patterns relate to subjects and to each other.
//
// A subject is a sequence of tokens separated by '.'. In a subscription the
// token "*" stands for exactly one token and ">", as the last token only, for
// one or more. A wildcard is a whole token: "foo*" and "b*c" are literal.
// Comparison is byte-exact and case-sensitive (client-protocol 8).
//
//	subject.Match("orders.*.new", "orders.eu.new") // true
//	subject.Match("orders.>", "orders")            // false: ">" wants a token
//	subject.Subset("a.b.*", "a.>")                 // true
//	subject.Overlap("a.*", "*.b")                  // true: a.b
//
// A [Transform] turns subjects of one form into another (accounts-auth 10.2).
//
// Every function that judges subjects takes strings and byte slices alike, allocates nothing, keeps
// no reference to its arguments and does no I/O. The package imports the
// standard library alone.
package subject
