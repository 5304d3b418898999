package config

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// NormalizeArgs rewrites a command line of the reference binary to what pflag
// reads: long names with one dash (-js, -DV, -port, -sl=...) get two. Arguments
// of flags are left alone, and everything from the first word that is no flag
// on, except that a leading "run" or "check" is passed over.
func NormalizeArgs(args []string) []string {
	takesValue := map[string]bool{"t": false, "h": false, "v": false, "c": true}
	for name, value := range commandFlags {
		takesValue[name] = value
	}
	for _, f := range referenceFlags() {
		for _, name := range f.names {
			takesValue[name] = !f.boolean
		}
		if f.short != "" {
			takesValue[f.short] = !f.boolean
		}
	}
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if i == 0 && (arg == "run" || arg == "check") {
			out = append(out, arg)
			continue
		}
		if len(arg) < 2 || arg[0] != '-' || arg == "--" {
			return append(out, args[i:]...)
		}
		name, _, assigned := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		value, known := takesValue[name]
		if known && len(name) > 1 && !strings.HasPrefix(arg, "--") {
			arg = "-" + arg
		}
		if known && len(name) == 1 && strings.HasPrefix(arg, "--") {
			arg = arg[1:]
		}
		out = append(out, arg)
		if (value || !known && pathFlagTakesValue(name)) && !assigned && i+1 < len(args) {
			i++
			out = append(out, args[i])
		}
	}
	return out
}

// pathFlagTakesValue knows the flags that are named after settings.
func pathFlagTakesValue(name string) bool {
	for _, o := range rootScope().rows {
		if o.scalar() && flagName(o) == name {
			return o.kind != kBool
		}
	}
	return false
}

// secretFlags have a value that nobody may see: those of settings, and of the commands
// that are clients.
var secretFlags = sync.OnceValue(func() []string {
	list := []string{"user", "pass", "auth", "password", "token", "auth-user", "cluster-user", "gateway-user", "leafs-user"}
	for _, o := range rootScope().rows {
		if o.kind == kSecret && o.scalar() {
			list = append(list, flagName(o))
		}
	}
	return list
})

// longName is the name of a flag with one dash or two, without its value.
func longName(arg string) string {
	name, ok := strings.CutPrefix(arg, "-")
	if !ok {
		return ""
	}
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "-"), "=")
	return name
}

// pattern is a regular expression that is compiled when it is first used: at the
// start of a process nearly none is.
func pattern(s string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(s) })
}

var urlUserInfo = pattern(`//[^/@,]*@`)

// RedactArgs is a copy of a command line in which credentials read "[REDACTED]".
// Whatever prints or serves arguments uses it.
func RedactArgs(args []string) []string {
	out := make([]string, len(args))
	secret := false
	for i, arg := range args {
		if secret {
			out[i], secret = redacted, false
			continue
		}
		out[i] = redactURL(arg)
		if slices.Contains(secretFlags(), longName(arg)) {
			name, _, assigned := strings.Cut(arg, "=")
			if secret = !assigned; assigned {
				out[i] = name + "=" + redacted
			}
		}
	}
	return out
}

func redactURL(s string) string { return urlUserInfo().ReplaceAllString(s, "//"+redacted+"@") }
