package config

import (
	"fmt"
	"strings"
)

// OptionInfo describes one setting, for documentation and completion.
type OptionInfo struct {
	// Key is the path in YAML; Aliases are further ones.
	Key     string
	Aliases []string
	// Conf are the paths in the .conf format, alternatives of a segment
	// separated by "/".
	Conf []string
	// Env and Flag set it from outside the file; "" for lists of blocks.
	Env, Flag string
	Kind      string
	Default   string
	// Reload says that a reload applies it, without a restart.
	Reload bool
	// Status is "" for settings that work, else "not supported yet" or "no effect".
	Status string
	Help   string
}

// ListInfo describes what the items of a list of blocks hold.
type ListInfo struct {
	// Key is the path of the list in YAML.
	Key     string
	Options []OptionInfo
}

// Options lists the settings of a daemon in the order of the table, without
// those inside of lists.
func Options(d Daemon) []OptionInfo {
	return rowsOf(rootScope(), d, "")
}

// Lists describes the items of a daemon's lists, those inside of items included.
func Lists(d Daemon) []ListInfo {
	return lists(rootScope(), d, "", "")
}

// lists gives each list the field of the outermost one that it is in.
func lists(s *scope, d Daemon, prefix, outer string) []ListInfo {
	var all []ListInfo
	for _, o := range s.rows {
		if o.kind == kList && o.in.has(d) {
			key := prefix + o.key()
			field := outer
			if field == "" {
				field = o.field
			}
			all = append(all, ListInfo{Key: key, Options: rowsOf(o.item(), d, field)})
			all = append(all, lists(o.item(), d, key+"[].", field)...)
		}
	}
	return all
}

// rowsOf lists the rows of a scope, whose items are in a field of the root; "" is the
// root itself.
func rowsOf(s *scope, d Daemon, field string) []OptionInfo {
	root := field == ""
	var list []OptionInfo
	for _, o := range s.rows {
		if !o.in.has(d) || o.kind == kBlock {
			continue
		}
		info := OptionInfo{Key: o.key(), Conf: strings.Fields(o.conf), Kind: kindWords[o.kind], Help: o.text, Reload: reloads(o, d, field)}
		if names := strings.Fields(o.yaml); len(names) > 1 {
			info.Aliases = names[1:]
		}
		if root && o.scalar() {
			info.Env, info.Flag = envName(d, o.key()), "--"+flagName(o)
		}
		switch o.kind {
		case kLater:
			info.Status = "not supported yet"
		case kNone:
			info.Status = "no effect"
		case kWord, kLevel:
			info.Kind = strings.Join(o.words, "|")
		case kURLs:
			info.Help = ""
		}
		if o.def != nil {
			info.Default = fmt.Sprint(o.def)
		}
		list = append(list, info)
	}
	return list
}
