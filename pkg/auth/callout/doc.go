// Package callout has a service decide who may log in (jwt-operator 12). A request
// that this server signs goes to the account where the service listens; the answer
// is a token, signed by an issuer whom settings or that account's token name, with
// the token of the user whom the connection becomes, or an error.
//
// [Caller] makes requests and checks answers; how a request gets to the service is
// for others to say ([Ask]). [Delegated] is the Authenticator of settings with such a
// service; in operator mode package operator asks a Caller itself.
//
// What it promises: an answer counts only for the one login that was asked about,
// at this server, and in time. A refusal looks to the peer like any other. A service
// that does not answer refuses nobody: the connection is closed without a word, so
// that clients try again. Logins wait on their own goroutines; at most [MaxAsking]
// questions are under way, and no more than [MaxWaiting] wait for one to end.
//
// The package may import auth, usertoken, config, wire and logging. It does no I/O.
package callout
