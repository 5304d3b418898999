package account

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/subject"
)

// Kind of an export or import.
type Kind uint8

// The kinds.
const (
	Stream Kind = iota
	Service
)

func (k Kind) String() string {
	if k == Service {
		return "service"
	}
	return "stream"
}

// ResponseType says how many messages answer a request to a service.
type ResponseType uint8

// The response types.
const (
	// Singleton: one.
	Singleton ResponseType = iota
	// Streamed: any number, until one without a body.
	Streamed
	// Chunked: one in several parts; the end is as of Streamed.
	Chunked
)

func (r ResponseType) String() string {
	return [...]string{"singleton", "stream", "chunked"}[r]
}

// DefaultThreshold is how long a request to a service waits for its answer, and for
// the next one of several.
const DefaultThreshold = 2 * time.Minute

// Export offers subjects of an account to others.
type Export struct {
	Kind    Kind
	Subject string
	// Private exports are for Accounts alone; others are for everybody.
	Private  bool
	Accounts []string
	// TokenPosition, if not 0, is the token, counted from 1, which in the subject of
	// an import must be the name of the importing account.
	TokenPosition int
	// Admit, if set, decides in the place of Private and Accounts whether an
	// account may have this import.
	Admit func(importer string, i *Import) bool

	// Of services.
	Response ResponseType
	// Threshold 0 is DefaultThreshold.
	Threshold time.Duration
	// Latency is where and how often measurements are published; nil: not.
	Latency *Latency
	// AllowTrace lets traces of messages continue in this account.
	AllowTrace bool
}

// Latency says what is measured of a service.
type Latency struct {
	Subject string
	// Sampling in percent; 0 is by header.
	Sampling int
}

// Trace says which messages of an account are traced that carry a header traceparent.
type Trace struct {
	Dest string
	// Sampling in percent.
	Sampling int
}

// Import takes subjects of another account into this one.
type Import struct {
	Kind Kind
	// From is the account that exports, and Subject its name for what is imported.
	From    string
	Subject string
	// Prefix of the local subjects of a stream; or To, the local subject itself. Both
	// empty: it is the same as the exporter's. $n in To is the nth "*" of Subject.
	Prefix string
	To     string
	// Share tells the service who asks, not only in which account.
	Share      bool
	AllowTrace bool
	// Token is the activation token, if there is one.
	Token string
}

// Mapping sends messages that are published on a subject elsewhere.
type Mapping struct {
	Source string
	To     []Destination
}

// Destination of a mapping.
type Destination struct {
	Subject string
	// Weight in percent.
	Weight int
	// Cluster, if not empty, is the only one in which this counts; there the
	// destinations without a cluster do not.
	Cluster string
}

// Limits of an account; 0 and below are none.
type Limits struct {
	// MaxConnections of clients and leaf nodes together.
	MaxConnections int
	MaxLeafNodes   int
	// MaxSubscriptions and MaxPayload are those of each connection.
	MaxSubscriptions int
	MaxPayload       int64
}

// Definition is all that is said of one account.
type Definition struct {
	Name     string
	Exports  []Export
	Imports  []Import
	Mappings []Mapping
	Limits   Limits
	Trace    *Trace
}

var (
	errPrefixAndTo = errors.New("Stream import can not have a 'prefix' and a 'to' property") //nolint:staticcheck // known text
	errPrefixWild  = errors.New("stream import prefix can not contain wildcard tokens")
	errNoAccount   = errors.New("an import needs the account that it is from")

	errNotAWildcard = errors.New("invalid account token position: it must be that of a \"*\" in the subject")
)

// Local returns the transform from the exporter's subjects to the local ones.
func (i *Import) Local() (*subject.Transform, error) {
	switch {
	case i.Prefix != "" && i.To != "":
		return nil, errPrefixAndTo
	case i.Prefix != "":
		p := strings.TrimSuffix(i.Prefix, ".")
		if subject.HasWildcard(p) {
			return nil, errPrefixWild
		}
		return subject.ParseImport(i.Subject, p+"."+numbered(i.Subject))
	case i.To == "", i.To == i.Subject:
		return subject.ParseImport(i.Subject, numbered(i.Subject))
	}
	return subject.ParseImport(i.Subject, i.To)
}

// numbered writes the nth "*" of a pattern as $n.
func numbered(pattern string) string {
	if !strings.Contains(pattern, "*") {
		return pattern
	}
	n := 0
	tokens := strings.Split(pattern, ".")
	for i, t := range tokens {
		if t == "*" {
			n++
			tokens[i] = fmt.Sprintf("$%d", n)
		}
	}
	return strings.Join(tokens, ".")
}

// check judges an export by itself.
func (e *Export) check() error {
	if !subject.ValidSubscribe(e.Subject) {
		return fmt.Errorf("%s export %q: %w", e.Kind, e.Subject, subject.ErrInvalid)
	}
	if e.TokenPosition != 0 {
		if t, ok := subject.Token(e.Subject, e.TokenPosition-1); e.TokenPosition < 0 || !ok || t != "*" {
			return fmt.Errorf("%s export %q: %w", e.Kind, e.Subject, errNotAWildcard)
		}
	}
	if l := e.Latency; l != nil {
		switch {
		case e.Kind == Service && e.Response != Singleton:
			return errors.New("bad service response type")
		case l.Sampling < 0 || l.Sampling > 100:
			return errors.New("bad sampling percentage, should be 1-100")
		case !subject.ValidPublish(l.Subject):
			return errors.New("invalid publish subject")
		}
	}
	return nil
}

// admits tells whether the account may have the import, whose subject e covers.
func (e *Export) admits(importer string, i *Import) bool {
	if e.TokenPosition > 0 {
		// One more condition, not a way around the others.
		if t, _ := subject.Token(i.Subject, e.TokenPosition-1); t != importer {
			return false
		}
	}
	switch {
	case e.Admit != nil:
		return e.Admit(importer, i)
	case e.Private:
		return slices.Contains(e.Accounts, importer)
	}
	return true
}

// Export finds the export of d that gives an import to an account; nil if none does.
// Of several that cover the subject any will do (accounts-auth 9).
func (d *Definition) Export(importer string, i *Import) *Export {
	for k := range d.Exports {
		e := &d.Exports[k]
		if e.Kind == i.Kind && subject.Subset(i.Subject, e.Subject) && e.admits(importer, i) {
			return e
		}
	}
	return nil
}
