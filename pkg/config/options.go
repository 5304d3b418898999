package config

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// kind says how the value of an option is read.
type kind int

const (
	kString kind = iota
	kPath
	kUserPath // a path that may begin with ~ and hold $NAME
	kSecret
	kBool
	kInteger
	kSize
	kDuration       // .conf: a bare integer is seconds, with a warning; YAML: unit mandatory
	kStrictDuration // a string with a unit in both languages
	kSeconds        // .conf: float or integer seconds; YAML: unit mandatory
	kListen         // "host:port" or a port; stored as the host and port beside it
	kLevel          // info, debug or trace; stored as the debug and trace beside it
	kStrings
	kURLs
	kWord   // one of option.words
	kCustom // option.read
	kBlock  // a map whose options have rows of their own; its presence means something
	kList   // array of maps, or in .conf of option.scope.byName a map of maps
	kLater  // belongs to work not done yet: refused by name
	kNone   // can have no effect here: accepted with a warning
)

// kindWords are what a value of a kind is called in messages and help texts.
var kindWords = map[kind]string{
	kString: "string", kPath: "path", kUserPath: "path", kSecret: "string", kBool: "boolean", kInteger: "integer", kSize: "size",
	kDuration: "duration", kStrictDuration: "duration", kSeconds: "duration", kListen: "address", kLevel: "level",
	kStrings: "strings", kURLs: "urls", kWord: "word", kCustom: "string", kBlock: "block", kList: "list",
}

// daemons is a set of daemons; the empty set means all.
type daemons uint8

const (
	inHub daemons = 1 << iota
	inGw
	inLeaf
)

func (s daemons) has(d Daemon) bool {
	var bit daemons
	switch d {
	case Hubd:
		bit = inHub
	case Gwd:
		bit = inGw
	case Leafd:
		bit = inLeaf
	}
	return s == 0 || s&bit != 0
}

func (s daemons) String() string {
	var names []string
	for _, d := range []Daemon{Hubd, Gwd, Leafd} {
		if s.has(d) {
			names = append(names, string(d))
		}
	}
	return strings.Join(names, " and ")
}

// option is one row of the table: a setting's names in both languages, how its
// value is read, and where it goes.
type option struct {
	// yaml is the path in our schema, for scalars of the root also the viper
	// key and what the environment variable and the flag are named after.
	// Further paths follow after spaces. "" is not in the language.
	yaml string
	// conf is the path in the .conf format, its segments with their aliases
	// separated by "/". Further paths follow after spaces.
	conf string
	kind kind
	// field is the Go path of the target below the scope's struct.
	field string
	def   any
	in    daemons
	words []string
	// inherit is the switch of kBlock that the word inherit turns on.
	inherit *option
	// item is the scope of kList.
	item func() *scope
	read reader
	// text says what kLater and kNone are about; of kURLs what is dialed; of
	// others it is the help text of the flag.
	text string
}

// reader turns a value into what the field holds; it reports errors itself.
type reader func(d *decoder, path string, v *conf.Value) (any, bool)

// key is the canonical path.
func (o *option) key() string {
	first, _, _ := strings.Cut(o.yaml, " ")
	return first
}

// scalar says whether the option passes through viper and can be set by the
// environment and by flags.
func (o *option) scalar() bool {
	return o.yaml != "" && o.kind < kBlock
}

// scope is the options of one kind of block, as a tree of names per language.
type scope struct {
	name string
	rows []*option
	// trees of both languages, made when first needed.
	trees func() [2]*node
	// unknown is the message for an unknown name.
	unknown string
	// byName marks a list that .conf writes as a map from names, stored in the
	// field Name; bare says that a list of plain names will do too.
	byName, bare bool
	// check judges a decoded item as a whole.
	check func(d *decoder, pos conf.Pos, path string, item any)
}

// lang is one of the two languages.
type lang int

const (
	langYAML lang = iota
	langConf
)

// node is one name in a block: an option, a block with further names, or both
// (an option that may be written short).
type node struct {
	name     string // canonical
	opt      *option
	children map[string]*node
	in       daemons
}

func newScope(name, unknown string, rows []*option) *scope {
	s := &scope{name: name, rows: rows, unknown: unknown}
	s.trees = sync.OnceValue(func() (trees [2]*node) {
		for l := range trees {
			trees[l] = &node{children: map[string]*node{}}
		}
		for _, o := range rows {
			for p := range strings.FieldsSeq(o.yaml) {
				trees[langYAML].add(p, o)
			}
			for p := range strings.FieldsSeq(o.conf) {
				trees[langConf].add(p, o)
			}
		}
		return trees
	})
	return s
}

func (s *scope) tree(l lang) *node { return s.trees()[l] }

func (n *node) add(path string, o *option) {
	segment, rest, more := strings.Cut(path, ".")
	names := strings.Split(segment, "/")
	child := n.children[names[0]]
	if child == nil {
		child = &node{name: names[0], children: map[string]*node{}}
	}
	for _, a := range names {
		if old := n.children[a]; old != nil && old != child {
			panic(fmt.Sprintf("config: option %q is in the table twice", path))
		}
		n.children[a] = child
	}
	all := inHub | inGw | inLeaf
	if o.in == 0 {
		child.in = all
	}
	child.in |= o.in
	if more {
		child.add(rest, o)
		return
	}
	if child.opt != nil && child.opt != o {
		panic(fmt.Sprintf("config: option %q is in the table twice", path))
	}
	child.opt = o
}

// nearest is the child whose name is closest to an unknown one, "" when none is
// close: few typing errors away, or beginning the same.
func (n *node) nearest(name string, d Daemon) string {
	name = strings.ToLower(name)
	names := make([]string, 0, len(n.children))
	for c, child := range n.children {
		if child.in.has(d) && (child.opt == nil || child.opt.kind != kLater) {
			names = append(names, c)
		}
	}
	slices.Sort(names)
	best, distance := "", 1+max(1, len(name)/3)
	for _, c := range names {
		if e := editDistance(name, c); e < distance {
			best, distance = c, e
		}
	}
	if best != "" {
		return best
	}
	longest := max(4, len(name)*2/3)
	for _, c := range names {
		if p := commonPrefix(name, c); p > longest {
			best, longest = c, p
		}
	}
	return best
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// editDistance counts insertions, deletions, replacements and swaps of
// neighbours that turn a into b. Long names are cut: they are near nothing.
func editDistance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
