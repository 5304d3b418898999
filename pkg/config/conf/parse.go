package conf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Options of Parse.
type Options struct {
	// Lookup finds an environment variable; nil finds none.
	Lookup func(name string) (string, bool)
	// ReadFile reads an included file; nil is ReadFile.
	ReadFile func(path string) ([]byte, error)
}

// Limits that keep a hostile file from using memory or stack without bound.
const (
	maxDepth    = 256
	maxIncludes = 1000
	maxFileSize = 64 << 20
)

// SyntaxError is a text that is not in the format.
type SyntaxError struct {
	Pos    Pos
	Detail string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s: Parse error on line %d: '%s'", e.Pos, e.Pos.Line, e.Detail)
}

// ParseFile reads and parses a file.
func ParseFile(path string, opts Options) (*Value, error) {
	read := opts.ReadFile
	if read == nil {
		read = ReadFile
	}
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text, opts)
}

// ReadFile reads a regular file of at most 64 MiB: settings must not make a
// process read a device or wait for a pipe.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, &os.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("open %s: not a regular file", path)
	case info.Size() > maxFileSize:
		return nil, fmt.Errorf("open %s: larger than %d bytes", path, maxFileSize)
	}
	return os.ReadFile(path)
}

// Parse parses text; file is for positions and is what includes are relative to.
// The value is a map. Errors are *SyntaxError or name a file that could not be
// read.
func Parse(file string, text []byte, opts Options) (*Value, error) {
	if opts.Lookup == nil {
		opts.Lookup = func(string) (string, bool) { return "", false }
	}
	if opts.ReadFile == nil {
		opts.ReadFile = ReadFile
	}
	s := &shared{opts: opts}
	return s.parseFile(file, text, []string{clean(file)})
}

// shared is what a file and its includes have in common.
type shared struct {
	opts     Options
	includes int
}

func (s *shared) parseFile(file string, text []byte, chain []string) (*Value, error) {
	if len(text) > maxFileSize {
		return nil, fmt.Errorf("%s: larger than %d bytes", file, maxFileSize)
	}
	p := &parser{shared: s, scanner: scanner{file: file, text: string(text), line: 1}, chain: chain}
	return p.file()
}

type parser struct {
	*shared
	scanner
	// chain of files that include each other, this one last.
	chain []string
	// scopes are the maps around the current place, innermost last.
	scopes []*Value
	depth  int
	// resolving are the environment variables whose values are being parsed.
	resolving []string
}

// file := [ "{" ] { entry } [ "}" ]
func (p *parser) file() (*Value, error) {
	root := &Value{Kind: Map, Pos: p.at()}
	p.scopes = []*Value{root}
	p.skipBlank()
	wrapped := p.peek() == '{'
	if wrapped {
		p.next()
	}
	for {
		p.skipSeparators()
		if p.eof() {
			if wrapped {
				return nil, p.fail("Unexpected EOF processing map.")
			}
			break
		}
		if p.peek() == '}' {
			// One closing brace more than there are opening ones is tolerated
			// when nothing follows it.
			p.next()
			p.skipSeparators()
			if wrapped && p.peek() == '}' {
				p.next()
				p.skipSeparators()
			}
			if !p.eof() {
				return nil, p.fail("Unexpected %s after the end of the map", p.found())
			}
			break
		}
		if err := p.entry(root, wrapped); err != nil {
			return nil, err
		}
	}
	return root, root.Weigh()
}

// entry := key sep value end | "include" WS path end
func (p *parser) entry(m *Value, inMap bool) error {
	pos := p.at()
	key, quoted, err := p.key()
	if err != nil {
		return err
	}
	p.skipSpaces()
	if !quoted && strings.EqualFold(key, "include") && p.pos > pos2off(p, pos)+len(key) && !p.oneOf("=:\n") && !p.eof() {
		return p.include(m, inMap)
	}
	sep := p.oneOf("=:")
	if sep {
		p.next()
		p.skipSpaces()
	}
	if !sep || inMap {
		p.skipBlank()
	}
	if p.eof() {
		return fmt.Errorf("config is invalid (%s)", pos)
	}
	if p.peek() == '\n' || p.startsComment() {
		return p.fail("Expected value but found new line")
	}
	v, err := p.value()
	if err != nil {
		return err
	}
	m.Set(&Entry{Key: key, Pos: pos, Value: v})
	return p.end(inMap)
}

func (p *parser) key() (key string, quoted bool, err error) {
	switch c := p.peek(); c {
	case '"', '\'':
		p.next()
		start := p.pos
		for p.peek() != c {
			if p.eof() || p.peek() == '\n' {
				return "", true, p.fail("Unexpected end of a quoted key")
			}
			p.next()
		}
		key = p.text[start:p.pos]
		p.next()
		return key, true, nil
	case '=', ':':
		return "", false, p.fail("Unexpected key separator '%c'", c)
	case '[', ']', '{', '(', ')':
		return "", false, p.fail("Expected a key, but got %s instead.", p.found())
	}
	start := p.pos
	for !p.eof() && !p.oneOf(" \t\r\n=:{") {
		p.next()
	}
	return p.text[start:p.pos], false, nil
}

// end of an entry: newline | ";" | "," | comment | end of the enclosing block.
func (p *parser) end(inMap bool) error {
	p.skipSpaces()
	if p.eof() || p.oneOf("\n;,}") || p.startsComment() {
		return nil
	}
	if inMap {
		return p.fail(`Expected a map value terminator "," or a map terminator "}", but got %s instead.`, p.found())
	}
	return p.fail("Expected a top-level value to end with a new line, comment or EOF, but got %s instead.", p.found())
}

func (p *parser) value() (*Value, error) {
	pos := p.at()
	switch p.peek() {
	case '{':
		return p.nested(pos, p.mapValue)
	case '[':
		return p.nested(pos, p.arrayValue)
	case '$':
		return p.variable(pos)
	}
	v, err := p.scalar(pos)
	if err != nil {
		return nil, err
	}
	return v, v.Weigh()
}

func (p *parser) nested(pos Pos, parse func(Pos) (*Value, error)) (*Value, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("more than %d levels of nesting", maxDepth)
	}
	v, err := parse(pos)
	p.depth--
	if err != nil {
		return nil, err
	}
	return v, v.Weigh()
}

func (p *parser) mapValue(pos Pos) (*Value, error) {
	m := &Value{Kind: Map, Pos: pos}
	p.scopes = append(p.scopes, m)
	defer func() { p.scopes = p.scopes[:len(p.scopes)-1] }()
	p.next()
	for {
		p.skipSeparators()
		if p.eof() {
			return nil, p.fail("Unexpected EOF processing map.")
		}
		if p.peek() == '}' {
			p.next()
			return m, nil
		}
		if err := p.entry(m, true); err != nil {
			return nil, err
		}
	}
}

// array := "[" { value ( "," | newline ) } "]"
func (p *parser) arrayValue(pos Pos) (*Value, error) {
	a := &Value{Kind: Array, Pos: pos}
	p.next()
	for {
		p.skipBlank()
		switch {
		case p.eof():
			return nil, p.fail("Unexpected EOF processing array.")
		case p.peek() == ']':
			p.next()
			return a, nil
		case p.peek() == ',':
			return nil, p.fail("Unexpected array value terminator ','.")
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		a.Items = append(a.Items, v)
		newline := p.skipBlank()
		switch {
		case p.peek() == ',':
			p.next()
		case p.peek() == ']' || newline || p.eof():
		default:
			return nil, p.fail(`Expected an array value terminator "," or an array terminator "]", but got %s instead.`, p.found())
		}
	}
}

// include parses another file into m as if its keys stood here.
func (p *parser) include(m *Value, inMap bool) error {
	pos := p.at()
	name, err := p.includePath(pos)
	if err != nil {
		return err
	}
	if p.includes++; p.includes > maxIncludes {
		return p.failAt(pos, "more than %d includes", maxIncludes)
	}
	path := filepath.Join(filepath.Dir(p.scanner.file), name)
	text, err := p.opts.ReadFile(path)
	if err != nil && filepath.IsAbs(name) && errors.Is(err, os.ErrNotExist) {
		path = name
		text, err = p.opts.ReadFile(path)
	}
	if err != nil {
		return fmt.Errorf("%s: error parsing include file '%s', %w", pos, name, err)
	}
	if slices.Contains(p.chain, clean(path)) {
		return p.failAt(pos, "include file %s includes itself", path)
	}
	inc, err := p.shared.parseFile(path, text, append(slices.Clone(p.chain), clean(path)))
	if err != nil {
		return fmt.Errorf("%s: error parsing include file '%s', %w", pos, name, err)
	}
	for _, e := range inc.Entries {
		m.Set(e)
	}
	return p.end(inMap)
}

func (p *parser) includePath(pos Pos) (string, error) {
	if !p.oneOf("\"'") {
		return p.word(), nil
	}
	v, err := p.scalar(pos)
	if err != nil {
		return "", err
	}
	return v.Str, nil
}

func clean(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path)
}

// variable := "$" NAME, or a bcrypt hash, which begins with $2a$.
func (p *parser) variable(pos Pos) (*Value, error) {
	word := p.word()
	if strings.HasPrefix(word, "$2a$") {
		v := &Value{Kind: String, Pos: pos, Str: word}
		return v, v.Weigh()
	}
	name := word[1:]
	for i := len(p.scopes) - 1; i >= 0; i-- {
		if e := p.scopes[i].entry(name); e != nil {
			e.Variable = true
			v := *e.Value
			v.Pos = pos
			return &v, nil
		}
	}
	if slices.Contains(p.resolving, name) {
		return nil, p.failAt(pos, "variable reference cycle for '%s'", name)
	}
	text, ok := p.opts.Lookup(name)
	if !ok || name == "" {
		return nil, p.failAt(pos, "variable reference for '%s' on line %d can not be found", name, pos.Line)
	}
	return p.environment(pos, name, text)
}

// environment parses the text of an environment variable as one value.
func (p *parser) environment(pos Pos, name, text string) (*Value, error) {
	if len(p.resolving) > 64 {
		return nil, p.failAt(pos, "more than 64 variables refer to each other at '%s'", name)
	}
	sub := &parser{shared: p.shared, scanner: scanner{file: "$" + name, text: text, line: 1}, chain: p.chain,
		scopes: p.scopes, depth: p.depth, resolving: append(slices.Clone(p.resolving), name)}
	sub.skipBlank()
	if sub.eof() {
		return nil, p.failAt(pos, "variable reference for '%s' on line %d is empty", name, pos.Line)
	}
	v, err := sub.value()
	if err == nil {
		if sub.skipBlank(); !sub.eof() {
			err = sub.fail("expected one value, but got %s after it", sub.found())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: environment variable '%s': %w", pos, name, err)
	}
	c := *v
	c.Pos = pos
	if c.Env == "" {
		c.Env = name
	}
	return &c, nil
}
