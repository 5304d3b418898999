package cli

import (
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// switchValue is a boolean flag that help shows as its name alone, without a
// list of the values that it could be given.
type switchValue bool

func (s *switchValue) Set(text string) error {
	b, err := strconv.ParseBool(text)
	*s = switchValue(b)
	return err
}

func (s *switchValue) String() string { return strconv.FormatBool(bool(*s)) }
func (s *switchValue) Type() string   { return "bool" }

func addSwitch(f *pflag.FlagSet, p *bool, name, short, usage string) {
	f.VarPF((*switchValue)(p), name, short, usage).NoOptDefVal = "true"
}

// addHelp gives a command and those below it their --help.
func addHelp(cmd *cobra.Command) {
	addSwitch(cmd.Flags(), new(bool), "help", "h", "this help")
	for _, sub := range cmd.Commands() {
		addHelp(sub)
	}
}
