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
	// Status is "" for settings that work, else "not supported yet" or "no effect".
	Status string
	Help   string
}

// Options lists the settings of a daemon in the order of the table, without
// those inside of lists.
func Options(d Daemon) []OptionInfo {
	var list []OptionInfo
	for _, o := range rootScope.rows {
		if !o.in.has(d) || o.kind == kBlock {
			continue
		}
		info := OptionInfo{Key: o.key(), Conf: strings.Fields(o.conf), Kind: kindWords[o.kind], Help: o.text}
		if names := strings.Fields(o.yaml); len(names) > 1 {
			info.Aliases = names[1:]
		}
		if o.scalar() {
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
