package conf

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Kind of a value.
type Kind int

// The kinds.
const (
	Null Kind = iota // only from YAML
	Map
	Array
	String
	Integer
	Float
	Bool
	Time
)

var kindNames = [...]string{"nothing", "map", "array", "string", "integer", "float", "boolean", "date"}

func (k Kind) String() string { return kindNames[k] }

// Pos is a place in a file; lines and columns count from 1, columns in bytes.
type Pos struct {
	File      string
	Line, Col int
}

// IsZero says that a place is not known.
func (p Pos) IsZero() bool { return p == Pos{} }

func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// Value is one value and, for maps and arrays, what is in it. Values are
// immutable once parsed; variables make several places share one.
type Value struct {
	Kind  Kind
	Pos   Pos
	Str   string
	Int   int64
	Float float64
	Bool  bool
	Time  time.Time
	// Items of an array.
	Items []*Value
	// Entries of a map in the order of the file. A key that was written twice
	// is there once, with its last value.
	Entries []*Entry
	// Env names the environment variable that the value was taken from; "" when
	// it stands in the file.
	Env string

	index  map[string]*Entry
	weight int
}

// Entry is one key of a map.
type Entry struct {
	// Key as written.
	Key   string
	Pos   Pos
	Value *Value
	// Variable says that the key was referred to as $Key, so that it need not
	// be an option.
	Variable bool
}

// Describe names a value for an error message, e.g. `string "4333"`. Long
// strings are cut.
func (v *Value) Describe() string {
	switch v.Kind {
	case String:
		if len(v.Str) > 40 {
			return fmt.Sprintf("string %q...", v.Str[:40])
		}
		return fmt.Sprintf("string %q", v.Str)
	case Integer:
		return fmt.Sprintf("integer %d", v.Int)
	case Float:
		return fmt.Sprintf("float %v", v.Float)
	case Bool:
		return fmt.Sprintf("boolean %v", v.Bool)
	}
	return v.Kind.String()
}

// Get finds a key of a map as written; nil when it is not there.
func (v *Value) Get(key string) *Value {
	if e := v.entry(key); e != nil {
		return e.Value
	}
	return nil
}

// Set adds an entry to a map; a key that is there already gets the new value
// and position.
func (v *Value) Set(e *Entry) {
	if old := v.entry(e.Key); old != nil {
		variable := old.Variable
		*old = *e
		old.Variable = old.Variable || variable
		return
	}
	if v.index == nil {
		v.index = map[string]*Entry{}
	}
	v.index[e.Key] = e
	v.Entries = append(v.Entries, e)
}

func (v *Value) entry(key string) *Entry { return v.index[key] }

// MaxWeight is the most values a file may hold after expansion of variables.
const MaxWeight = 1 << 20

// Weight counts the values in v, shared ones as often as they are used.
func (v *Value) Weight() int { return v.weight }

// Weigh sets the weight from the children's; whoever builds a tree calls it
// once per value, children first.
func (v *Value) Weigh() error {
	v.weight = 1
	for _, it := range v.Items {
		v.weight += it.weight
	}
	for _, e := range v.Entries {
		v.weight += e.Value.weight
	}
	if v.weight > MaxWeight {
		return fmt.Errorf("%s: more than %d values after expansion", v.Pos, MaxWeight)
	}
	return nil
}

// Plain turns a value into map[string]any, []any, string, int64, float64, bool,
// time.Time or nil.
func (v *Value) Plain() any {
	switch v.Kind {
	case Map:
		m := make(map[string]any, len(v.Entries))
		for _, e := range v.Entries {
			m[e.Key] = e.Value.Plain()
		}
		return m
	case Array:
		a := make([]any, len(v.Items))
		for i, it := range v.Items {
			a[i] = it.Plain()
		}
		return a
	case String:
		return v.Str
	case Integer:
		return v.Int
	case Float:
		return v.Float
	case Bool:
		return v.Bool
	case Time:
		return v.Time
	}
	return nil
}

// Digest is "sha256:" and the hex sum of the compact JSON of the whole map and
// a newline, keys sorted (config-cli 4.7): the value operators compare across a
// fleet.
func (v *Value) Digest() (string, error) {
	text, err := json.Marshal(v.Plain())
	if err != nil {
		return "", fmt.Errorf("digest: %w", err)
	}
	sum := sha256.Sum256(append(text, '\n'))
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
