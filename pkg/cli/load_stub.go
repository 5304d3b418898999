package cli

import (
	"github.com/spf13/pflag"

	"github.com/banyanmq/banyan/pkg/config"
)

func registerFlags(f *pflag.FlagSet, d config.Daemon) {}
func normalizeArgs(args []string) []string            { return args }
