package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/cli/host"
	"github.com/banyanmq/banyan/pkg/config"
)

// newCheckHost compares this machine with the settings.
func newCheckHost(exe string, d Daemon) *cobra.Command {
	var (
		file, format, process, unit string
		asJSON, asSysctl, strict    bool
	)
	cmd := &cobra.Command{
		Use:   "host [-c FILE]",
		Short: "Check whether this machine fits the settings",
		Long: `Compare this machine with what the settings need: open files, the kernel's
settings for many connections, memory and processors and their limits, the
clock, the directories that are written to, and the service that starts the
daemon. For each: what was found, what is wanted, and the line that changes it.
Without -c the default settings count. Nothing is changed.

Where the machine has a service of the daemon's name, its limits are those that
count, else those of this shell; --pid names a running process instead.

  error   the daemon would not do what its settings say: it would not start, or
          lose clients, data or its life
  warn    it would, but slower, or not under load
  unseen  this system does not show it

It exits 1 when there is an error, or with --strict a warning, and 0 when not.`,
		Example: example(exe, `check host -c /etc/EXE/EXE.yaml
check host -c /etc/EXE/EXE.yaml --sysctl >/etc/sysctl.d/60-EXE.conf
check host --pid /run/EXE/EXE.pid --json`),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON && asSysctl {
				return usagef("--json and --sysctl exclude each other")
			}
			cfg, _, err := config.Load(config.LoadOptions{Daemon: d.Name, File: file, Format: format, Env: os.Environ()})
			if err != nil {
				return err
			}
			m := host.This(unit)
			if process != "" {
				pid, err := pidOf(process)
				if err != nil {
					return err
				}
				m.Process = strconv.Itoa(pid)
			}
			list := host.Look(m, cfg)
			failed := host.Count(list, host.Bad) > 0 || strict && host.Count(list, host.Warn) > 0
			w := cmd.OutOrStdout()
			switch {
			case asSysctl:
				_, err = io.WriteString(w, sysctlFile(exe, file, list))
				return err
			case asJSON:
				err = writeJSONLine(w, map[string]any{"daemon": d.Name, "os": m.OS, "file": file, "ok": !failed, "findings": list})
			default:
				_, err = io.WriteString(w, hostTable(list))
			}
			if err == nil && failed {
				err = exit(ExitFailure, nil)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&file, "config", "c", "", "settings `file`")
	f.StringVar(&format, "config-format", "", "language of the file: auto, yaml, conf")
	f.StringVar(&process, "pid", "", "look at the limits of a running `process`, or of that in a pid file")
	f.StringVar(&unit, "unit", string(d.Name)+".service", "`name` of the service")
	addSwitch(f, &asJSON, "json", "", "print the findings as one JSON object")
	addSwitch(f, &asSysctl, "sysctl", "", "print only what sysctl.d should hold")
	addSwitch(f, &strict, "strict", "", "warnings count as errors")
	return cmd
}

func hostTable(list []host.Finding) string {
	var b bytes.Buffer
	width := 0
	for _, f := range list {
		width = max(width, len(f.Name))
	}
	for _, f := range list {
		fmt.Fprintf(&b, "%-7s %-*s  %s", f.State, width, f.Name, f.Found)
		if f.Wanted != "" {
			fmt.Fprintf(&b, "; wanted: %s", f.Wanted)
		}
		b.WriteByte('\n')
		if f.State == host.OK || f.State == host.Unseen {
			continue
		}
		if f.Why != "" {
			fmt.Fprintf(&b, "          %s\n", f.Why)
		}
		if f.Sysctl != "" {
			fmt.Fprintf(&b, "          sysctl.d: %s\n", f.Sysctl)
		}
		for _, c := range f.Change {
			fmt.Fprintf(&b, "          %s\n", c)
		}
	}
	fmt.Fprintf(&b, "%d errors, %d warnings, %d fine, %d not to be seen\n", host.Count(list, host.Bad), host.Count(list, host.Warn),
		host.Count(list, host.OK), host.Count(list, host.Unseen))
	return b.String()
}

// sysctlFile is a file for /etc/sysctl.d, with what is to be changed only.
func sysctlFile(exe, settings string, list []host.Finding) string {
	var b strings.Builder
	if settings == "" {
		settings = "default settings"
	}
	fmt.Fprintf(&b, "# For %s with %s. Put it into /etc/sysctl.d, then run: sysctl --system\n", exe, settings)
	changes := host.Sysctls(list)
	for _, f := range changes {
		fmt.Fprintf(&b, "\n# Found: %s. %s\n%s\n", f.Found, f.Why, f.Sysctl)
	}
	if len(changes) == 0 {
		b.WriteString("# Nothing is to be changed on this machine.\n")
	}
	return b.String()
}
