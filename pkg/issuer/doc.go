// Package issuer makes operators, accounts and users, with the settings of a
// server that knows them, for those who have no tool of their own for it. All
// stands in one directory:
//
//	operator.nk, operator.jwt     the operator's seed and token
//	accounts/NAME.nk, NAME.jwt    of each account; SYS is the system account
//	creds/ACCOUNT/USER.creds      a file that clients and leaf nodes connect with
//	resolver.conf                 settings that name the operator and all accounts
//
// What is there is kept: making it again changes nothing. Seeds and credentials
// can be read by their owner alone. The layout is the least that works; large
// estates keep the operator's seed elsewhere.
//
// The package may import operator's libraries and, of ours, atomicfile alone.
package issuer
