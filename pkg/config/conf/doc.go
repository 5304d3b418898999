// Package conf reads the .conf format of NATS servers into a tree of values
// that remember where they stand.
//
// The format is a superset of JSON's objects, arrays, strings and numbers: bare
// keys and strings, "=", ":" or nothing between key and value, comments with #
// and //, sizes such as 64MB, block strings in parentheses, includes, and
// variables ($NAME) that are looked up in the file and then in the environment
// (config-cli 4).
//
// The package knows no option: which keys exist and what they mean is for
// package config. It imports nothing of this module.
//
//	v, err := conf.Parse("hub.conf", text, conf.Options{Lookup: os.LookupEnv})
//	for _, e := range v.Entries { fmt.Println(e.Key, e.Value.Pos) }
//
// Nothing in a file can make it panic, loop or use memory without bound:
// nesting, the number of includes and the size after expansion of variables are
// limited.
package conf
