//go:build !linux

package cli

// wipe returns the arguments; how they are hidden is not known here.
func wipe(argv, _ []string) []string { return argv }
