// Package operator is authentication in operator mode: an operator's key signs
// the tokens of accounts, an account's keys sign those of its users, and a user
// proves to have its own key. The server knows the operator alone; tokens of
// accounts come from a [Resolver], those of users from their connections.
//
//	o, err := operator.New(operator.Options{Settings: cfg.Operator, SystemAccount: cfg.SystemAccount, Resolver: r})
//	id, err := o.Authenticate(credentials)
//
// What it promises: a token counts only if its whole chain is signed by keys
// that are trusted now; the reason of a refusal goes to the log alone. What was
// admitted is watched: a connection ends at the second at which its token or its
// account expires, and when a new token of its account ([Operator.Update])
// revokes it, takes away or changes the key that signed it, or lowers a limit.
// Connections that a change does not concern do not notice it.
//
// [Memory], [Directory] and [URL] are the resolvers. A directory is written
// through a temporary file, never with what is not signed by a trusted operator
// or older than what is there.
//
// The package may import auth, account, atomicfile, config, subject, wire and logging. Only the
// resolvers do I/O.
package operator
