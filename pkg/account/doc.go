// Package account holds what is said of accounts, apart from who is in them: what
// they export to others and import from others, how they map subjects, and their
// limits. It judges such definitions and does not act on them; pkg/broker does.
//
// An export is a stream (what is published on its subjects may be received in other
// accounts) or a service (others may send requests to its subjects). It is
// public, or for the accounts that it lists, or for the account whose name is a
// token of the subject. An import takes an export, or a part of one, into the
// importing account, perhaps under another name. What is the name there is the
// import's local subject:
//
//	acme := account.Definition{Name: "ACME", Exports: []account.Export{
//		{Kind: account.Stream, Subject: "acme.>"},
//	}}
//	cncf := account.Definition{Name: "CNCF", Imports: []account.Import{
//		{Kind: account.Stream, From: "ACME", Subject: "acme.>", Prefix: "cncf"},
//	}}
//	problems := account.Check([]account.Definition{acme, cncf}) // none
//
// Nothing crosses between accounts but by an import of an export, and [Check] is
// what decides whether an import is one.
//
// The package may import subject. It does no I/O and keeps no state.
package account
