// Package config holds the typed settings of the three daemons and everything
// that turns files, environment variables and flags into them.
//
// A daemon calls [Load] once at start and again on each reload:
//
//	cfg, warnings, err := config.Load(config.LoadOptions{
//		Daemon: config.Hubd,
//		File:   "hubd.yaml",
//		Env:    os.Environ(),
//		Flags:  flags, // a pflag.FlagSet prepared by RegisterFlags
//	})
//
// What comes back is one tree of small blocks ([Config], [Client], [Cluster],
// [LeafNodes], ...), complete with defaults and already checked: every name
// known, every value of the right type, every combination possible. Nothing in
// it has to be checked again by the part that uses it.
//
// Two languages feed the same tree: our own (YAML or JSON) and the NATS .conf
// format (package conf below this one). Both are parsed to one positioned tree
// and judged against one table of options (options.go), so that an option has
// its name, type, target field and status written down once.
//
// Precedence is flag, then environment, then file, then default. Options that
// belong to work not done yet are refused by name; options that can have no
// effect here are accepted with one warning; every other unknown name is an
// error with its position and the nearest name that exists.
//
// Secrets are of type [Secret], which prints and marshals as "[REDACTED]".
//
// The package does file I/O only while loading, starts no goroutine, and
// imports no other package of this module but its own sub-packages.
package config
