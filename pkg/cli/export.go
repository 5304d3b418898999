package cli

import "github.com/spf13/cobra"

// What packages of further commands need of this one.

// ExitCodesHelp is the paragraph on exit codes that each command's help ends with.
const ExitCodesHelp = exitCodesHelp

// Usagef makes an error of wrong flags or arguments (ExitUsage).
func Usagef(format string, args ...any) error { return usagef(format, args...) }

// Exit makes an error that ends the process with a code and says nothing.
func Exit(code int) error { return exit(code, nil) }

// Example puts the program's name before each line of an example.
func Example(exe, lines string) string { return example(exe, lines) }

// NoArgs refuses arguments as wrong usage.
func NoArgs(cmd *cobra.Command, args []string) error { return usageArgs(cobra.NoArgs)(cmd, args) }
