package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Protocol is the version that clients and servers see in INFO `version`:
// the protocol level that Banyan speaks, MAJOR.MINOR.PATCH without a "v".
const Protocol = "2.14.5"

// APILevel is the level of the stream API that INFO announces as `api_lvl`.
const APILevel = 4

// Product is the name that stands beside our own version.
const Product = "banyan"

// Version is our own version, as INFO `x_banyan` and /varz carry it. Version and
// Commit are written by the linker and never by the program.
// Without a stamp Commit is taken from the build information that Go embeds.
var (
	Version = "0.0.0-dev"
	Commit  = ""
)

// Info is everything that is known about a binary.
type Info struct {
	Daemon   string `json:"daemon,omitempty"`
	Protocol string `json:"protocol"`
	APILevel int    `json:"api_level"`
	Product  string `json:"product"`
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Get returns what is known about the running binary.
func Get() Info {
	return Info{
		Protocol: Protocol,
		APILevel: APILevel,
		Product:  Product,
		Version:  Version,
		Commit:   commit(),
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// Line is the one line of "-v" and the first line of "version": the program's
// name, the protocol version behind the first "v" followed by digits (scripts
// and client test suites search for it), then our own version.
func Line(exe string) string {
	return fmt.Sprintf("%s: v%s (%s %s)", exe, Protocol, Product, Version)
}

// String is the text of the "version" command: Line, then one fact a line.
func String(exe string) string {
	i := Get()
	s := Line(exe) + "\n"
	if i.Commit != "" {
		s += "  commit:    " + i.Commit + "\n"
	}
	return s + fmt.Sprintf("  api level: %d\n  go:        %s\n  platform:  %s\n", i.APILevel, i.Go, i.Platform)
}

func commit() string {
	if Commit != "" {
		return Commit
	}
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range bi.Settings {
		if s.Key == "vcs.revision" {
			if len(s.Value) > 12 {
				return s.Value[:12]
			}
			return s.Value
		}
	}
	return ""
}
