// Package version holds the two versions of Banyan and nothing else.
//
// The protocol version is what peers and client libraries see in INFO and
// what test suites read from "-v": the level of the protocol that Banyan
// speaks. The product version is Banyan's own; the linker stamps it:
//
//	go build -ldflags "-X github.com/banyanmq/banyan/pkg/version.Version=1.2.3 \
//	                   -X github.com/banyanmq/banyan/pkg/version.Commit=0123abc"
//
// It stands on the ground floor and imports the standard library only.
package version
