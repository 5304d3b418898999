// Package interest is the subscription index of one account: it maps subject
// patterns to values and finds, for a published subject, the values of all
// patterns that match it.
//
// The index knows no broker: a value is whatever the owner needs to deliver
// (a pointer to a subscription, a small number). Results are meant to be cached
// by the readers; a Stamp tells without a lock whether a cached result still
// holds.
//
//	x := interest.New[*Sub]()
//	x.Insert([]byte("orders.*.new"), s)
//
//	stamp := x.Stamp(subject) // before Match
//	subs := x.Match(subject, nil)
//	...
//	if !x.Fresh(stamp) { ... } // match again
//
// The package imports the standard library and package subject.
package interest
