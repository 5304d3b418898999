// Package auth says who a connection is and what it may do.
//
// An [Authenticator] turns [Credentials], what a peer showed, into an
// [Identity]: a name, an account, and compiled [Permissions]. [FromConfig]
// makes the one of the settings: users with passwords in clear or as bcrypt
// hashes, a token, a single user, accounts with users, identities of
// certificates, keys that users prove to have, and the user that a client
// without credentials becomes. Users whose JWTs an operator's accounts sign are
// the affair of another Authenticator, in the package operator below this one.
//
// Permissions are immutable and shared by all connections of a user. What a
// connection adds of its own is small and made only when needed: a [Verdicts]
// cache, so that the publish path of a restricted user neither allocates nor
// walks lists, and [Responses], the reply subjects that it may answer to.
//
//	a := auth.FromConfig(cfg)
//	id, err := a.Authenticate(&auth.Credentials{Kind: config.Standard, User: "joe", Pass: "secret"})
//	if err == nil && !id.Permissions.CanSubscribe([]byte("orders.>"), nil) { ... }
//
// The package may import config, subject and wire. It does no I/O.
package auth
