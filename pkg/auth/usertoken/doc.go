// Package usertoken is what the token of a user says of the user's connection,
// whoever asked for the token and whoever trusts its issuer: from where, when and
// by what kind of link the user may come, what it may do, and what is shown of it.
//
// It judges no signatures. The package may import auth, config and jwt.
package usertoken
