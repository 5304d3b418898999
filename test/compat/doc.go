// Package compat writes docs/COMPATIBILITY.md: every option, flag, field, event and
// request that a NATS server is known for, and what of it is here. Its data files
// say so; its tests ask the daemons whether they are right.
//
// A line of a data file is NAMES | STATE | SAMPLE | REMARK. Names of one thing are
// separated by slashes. A line "== TITLE | AROUND | DAEMON" begins a table; AROUND is
// the text around an option, with % in its place. ";;" is a line's end; {{A}}, {{U}}
// and {{O}} are public keys of an account, a user and an operator.
//
// States of options and flags:
//
//	works    accepted, and the settings are others for it
//	same     accepted; the sample is what the settings are anyway
//	none     accepted without effect, and said so in the log once
//	refused  known, and refused with a reason where it stands in the sample
//	planned  refused by name: not supported yet
//	command  does something else than setting anything (flags)
//
// States of fields, events and requests:
//
//	works    there; its daemons are named in the sample ("all" or names)
//	maybe    there when there is something to tell
//	planned  comes with what it tells about
//	none     not here, for the reason in the remark
package compat
