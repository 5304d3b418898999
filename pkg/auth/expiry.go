package auth

import (
	"time"

	"github.com/banyanmq/banyan/pkg/wire"
)

// Until returns an Attach that ends a connection at a time, as one whose
// credentials have expired. The zero time never comes: nil is returned.
func Until(end time.Time) func(Session) (func(), error) {
	if end.IsZero() {
		return nil
	}
	return func(s Session) (func(), error) {
		t := time.AfterFunc(time.Until(end), func() { s.End(wire.ReasonAuthExpired, wire.TextUserExpired) })
		return func() { t.Stop() }, nil
	}
}
