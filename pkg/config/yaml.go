package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

const maxYAMLDepth = 256

// parseYAML reads YAML or JSON into the tree that .conf files become too. A key
// that occurs twice in one map is an error.
func parseYAML(file string, text []byte) (*conf.Value, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, yamlError(file, err)
	}
	root := &conf.Value{Kind: conf.Map, Pos: conf.Pos{File: file, Line: 1, Col: 1}}
	if len(doc.Content) == 0 {
		return root, root.Weigh()
	}
	t := yamlTree{file: file, aliases: map[*yaml.Node]*conf.Value{}}
	v, err := t.value(doc.Content[0], 0)
	if err != nil {
		return nil, err
	}
	if v.Kind == conf.Null {
		return root, root.Weigh()
	}
	if v.Kind != conf.Map {
		return nil, Errors{{Pos: v.Pos, Message: fmt.Sprintf("want a map of settings, got %s", v.Describe())}}
	}
	return v, nil
}

var yamlLine = pattern(`^yaml: line (\d+): (.*)$`)

// yamlError gives the library's message the form of a finding.
func yamlError(file string, err error) error {
	f := Finding{Pos: conf.Pos{File: file}, Message: err.Error()}
	if m := yamlLine().FindStringSubmatch(err.Error()); m != nil {
		f.Pos.Line, _ = strconv.Atoi(m[1])
		f.Pos.Col = 1
		f.Message = m[2]
	}
	return Errors{f}
}

type yamlTree struct {
	file string
	// aliases are the values of anchors that were referred to, nil while one is
	// being read.
	aliases map[*yaml.Node]*conf.Value
}

func (t *yamlTree) pos(n *yaml.Node) conf.Pos {
	return conf.Pos{File: t.file, Line: n.Line, Col: n.Column}
}

func (t *yamlTree) value(n *yaml.Node, depth int) (*conf.Value, error) {
	if depth > maxYAMLDepth {
		return nil, Errors{{Pos: t.pos(n), Message: fmt.Sprintf("more than %d levels of nesting", maxYAMLDepth)}}
	}
	v := &conf.Value{Pos: t.pos(n)}
	var err error
	switch n.Kind {
	case yaml.MappingNode:
		v.Kind = conf.Map
		err = t.mapping(v, n, depth)
	case yaml.SequenceNode:
		v.Kind = conf.Array
		for _, c := range n.Content {
			it, e := t.value(c, depth+1)
			if e != nil {
				return nil, e
			}
			v.Items = append(v.Items, it)
		}
	case yaml.AliasNode:
		return t.alias(n, depth)
	case yaml.ScalarNode:
		err = t.scalar(v, n)
	default:
		err = errors.New("unexpected YAML")
	}
	if err == nil {
		err = v.Weigh()
	}
	if err != nil {
		if _, ok := err.(Errors); ok {
			return nil, err
		}
		return nil, Errors{{Pos: t.pos(n), Message: strings.TrimPrefix(err.Error(), t.pos(n).String()+": ")}}
	}
	return v, nil
}

// alias shares the value of an anchor, so that what refers to much stays small.
func (t *yamlTree) alias(n *yaml.Node, depth int) (*conf.Value, error) {
	v, met := t.aliases[n.Alias]
	if met && v == nil {
		return nil, Errors{{Pos: t.pos(n), Message: fmt.Sprintf("anchor %q contains itself", n.Value)}}
	}
	if !met {
		t.aliases[n.Alias] = nil
		var err error
		if v, err = t.value(n.Alias, depth+1); err != nil {
			return nil, err
		}
		t.aliases[n.Alias] = v
	}
	c := *v
	c.Pos = t.pos(n)
	return &c, nil
}

func (t *yamlTree) mapping(v *conf.Value, n *yaml.Node, depth int) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode {
			return Errors{{Pos: t.pos(k), Message: "keys must be plain words"}}
		}
		if k.ShortTag() == "!!merge" {
			return Errors{{Pos: t.pos(k), Message: "merge keys (<<) are not supported; use an alias for the whole block"}}
		}
		if old := v.Get(k.Value); old != nil {
			return Errors{{Pos: t.pos(k), Key: k.Value, Message: fmt.Sprintf("is set twice, first in line %d", old.Pos.Line)}}
		}
		val, err := t.value(n.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		v.Set(&conf.Entry{Key: k.Value, Pos: t.pos(k), Value: val})
	}
	return nil
}

func (t *yamlTree) scalar(v *conf.Value, n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!null":
		v.Kind = conf.Null
		return nil
	case "!!bool":
		v.Kind = conf.Bool
		return n.Decode(&v.Bool)
	case "!!int":
		v.Kind = conf.Integer
		return n.Decode(&v.Int)
	case "!!float":
		v.Kind = conf.Float
		if err := n.Decode(&v.Float); err != nil {
			return err
		}
		if math.IsInf(v.Float, 0) || math.IsNaN(v.Float) {
			return fmt.Errorf("%s is no number that a setting can have", n.Value)
		}
		return nil
	case "!!timestamp":
		v.Kind = conf.Time
		var at time.Time
		err := n.Decode(&at)
		v.Time = at
		return err
	case "!!str":
		v.Kind, v.Str = conf.String, n.Value
		return nil
	}
	return fmt.Errorf("unsupported YAML tag %s", n.Tag)
}
