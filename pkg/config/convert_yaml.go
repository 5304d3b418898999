package config

import (
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/config/conf"
)

// How values of settings look in YAML, for Convert.

func yString(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	if n.Tag == "!!str" && n.Style == 0 && (strings.TrimSpace(s) != s || s == "" || elsewhere(s)) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// elsewhere says that other readers of YAML would take a plain word for something
// else: older ones have more words for true, and numbers to the base of sixty.
func elsewhere(s string) bool {
	switch strings.ToLower(s) {
	case "on", "off", "yes", "no", "y", "n":
		return true
	}
	return strings.Trim(s, "0123456789:") == "" && strings.Contains(s, ":")
}

func yInt(i int64) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(i, 10)}
}

func yBool(b bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(b)}
}

func ySeq(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Content: items}
}

// yMap makes a map of names and nodes in turn, on one line.
func yMap(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	for i := 0; i < len(pairs); i += 2 {
		n.Content = append(n.Content, yString(pairs[i].(string)), pairs[i+1].(*yaml.Node))
	}
	return n
}

func yStrings(list []string) *yaml.Node {
	n := ySeq()
	width := 0
	for _, s := range list {
		n.Content = append(n.Content, yString(s))
		width += len(s)
	}
	if width < 60 {
		n.Style = yaml.FlowStyle
	}
	return n
}

// yDuration writes 2m for 2m0s.
func yDuration(d time.Duration) *yaml.Node {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return yString(s)
}

// ySize writes bytes in the largest unit that is exact.
func ySize(n int64) *yaml.Node {
	for shift, unit := range map[int]string{30: "GiB", 20: "MiB", 10: "KiB"} {
		if n > 0 && n%(1<<shift) == 0 && n>>shift < 1024 {
			return yString(strconv.FormatInt(n>>shift, 10) + unit)
		}
	}
	return yInt(n)
}

// plainNode writes a value that both languages read alike.
func plainNode(v *conf.Value) *yaml.Node {
	switch v.Kind {
	case conf.String:
		return yString(v.Str)
	case conf.Integer:
		return yInt(v.Int)
	case conf.Float:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: strconv.FormatFloat(v.Float, 'g', -1, 64)}
	case conf.Bool:
		return yBool(v.Bool)
	case conf.Array:
		n := ySeq()
		for _, it := range v.Items {
			n.Content = append(n.Content, plainNode(it))
		}
		n.Style = yaml.FlowStyle
		return n
	case conf.Map:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, e := range v.Entries {
			n.Content = append(n.Content, yString(e.Key), plainNode(e.Value))
		}
		return n
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

func permissionsNode(p *Permissions) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	put := func(name string, v *yaml.Node) { n.Content = append(n.Content, yString(name), v) }
	if s := p.Publish; s.Allow != nil || s.Deny != nil {
		put("publish", subjectsNode(s))
	}
	if s := p.Subscribe; s.Allow != nil || s.Deny != nil {
		put("subscribe", subjectsNode(s))
	}
	if r := p.AllowResponses; r != nil {
		put("allow_responses", yMap("max", yInt(int64(r.Max)), "expires", yDuration(r.Expires)))
	}
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

func subjectsNode(s SubjectPermission) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	put := func(name string, list []string) {
		if list != nil {
			n.Content = append(n.Content, yString(name), yStrings(list))
		}
	}
	put("allow", s.Allow)
	put("deny", s.Deny)
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

func mappingsNode(list []account.Mapping) *yaml.Node {
	n := ySeq()
	for _, m := range list {
		var to *yaml.Node
		if len(m.To) == 1 && m.To[0].Weight == 100 && m.To[0].Cluster == "" {
			to = yString(m.To[0].Subject)
		} else {
			to = ySeq()
			for _, d := range m.To {
				pairs := []any{"subject", yString(d.Subject), "weight", yInt(int64(d.Weight))}
				if d.Cluster != "" {
					pairs = append(pairs, "cluster", yString(d.Cluster))
				}
				to.Content = append(to.Content, yMap(pairs...))
			}
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{yString("from"), yString(m.Source), yString("to"), to}})
	}
	return n
}
