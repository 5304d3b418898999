// Pack makes what is passed on: container images, archives, bills of materials. The
// scripts of "make images" and "make release" call it; it runs for any user and needs no
// container engine. Whatever it writes depends on its input alone, never on the clock,
// the machine or the directory.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/banyanmq/banyan/scripts/pack/archive"
	"github.com/banyanmq/banyan/scripts/pack/image"
	"github.com/banyanmq/banyan/scripts/pack/notices"
	"github.com/banyanmq/banyan/scripts/pack/rootfs"
	"github.com/banyanmq/banyan/scripts/pack/sbom"
)

const usage = `usage: pack COMMAND [FLAGS]

  images   -builds DIR -licence FILE -out DIR [-repository NAME] DAEMON...
           OCI images of the binaries DIR/OS-ARCH/DAEMON
  rootfs   -daemon DAEMON -binary FILE -licence FILE -out DIR
           the files of an image in a directory, for the Dockerfile
  archive  -out FILE.tar.gz|FILE.zip DIR
  sbom     -daemon DAEMON -binary FILE -out FILE
  notices  -daemon DAEMON -binary FILE -out FILE

flags of all: -version, -revision, -created (seconds since 1970)
`

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "pack:", err)
		}
		os.Exit(1)
	}
}

// options are those of all commands.
type options struct {
	version, revision string
	created           int64
	builds, out       string
	daemon, binary    string
	licence           string
	repository        string
	args              []string
}

func run(args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("no command\n" + usage)
	}
	var o options
	f := flag.NewFlagSet("pack", flag.ContinueOnError)
	f.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	f.StringVar(&o.version, "version", "0.0.0-dev", "")
	f.StringVar(&o.revision, "revision", "", "")
	f.Int64Var(&o.created, "created", 0, "")
	f.StringVar(&o.builds, "builds", "", "")
	f.StringVar(&o.out, "out", "", "")
	f.StringVar(&o.daemon, "daemon", "", "")
	f.StringVar(&o.binary, "binary", "", "")
	f.StringVar(&o.licence, "licence", "LICENSE", "")
	f.StringVar(&o.repository, "repository", "banyanmq", "")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if o.out == "" {
		return errors.New("-out is missing\n" + usage)
	}
	o.args = f.Args()
	switch args[0] {
	case "images":
		return o.images(out)
	case "rootfs":
		return o.rootfs()
	case "archive":
		if len(o.args) != 1 {
			return errors.New("archive takes one directory")
		}
		return archive.Write(o.out, o.args[0], o.time())
	case "sbom":
		return o.sbom()
	case "notices":
		return o.notices()
	}
	return fmt.Errorf("no command %q\n%s", args[0], usage)
}

func (o *options) time() time.Time { return time.Unix(o.created, 0).UTC() }

// sources asks the Go tool where it keeps things.
func sources() (notices.Source, error) {
	b, err := exec.Command(cmp.Or(os.Getenv("GO"), "go"), "env", "GOMODCACHE", "GOROOT").Output()
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if err != nil || len(lines) != 2 {
		return notices.Source{}, fmt.Errorf("go env GOMODCACHE GOROOT: %w", err)
	}
	return notices.Source{ModCache: lines[0], GoRoot: lines[1]}, nil
}

func (o *options) images(out io.Writer) error {
	licence, err := os.ReadFile(o.licence)
	if err != nil {
		return err
	}
	from, err := sources()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, daemon := range o.args {
		builds, err := o.found(daemon)
		if err != nil {
			return err
		}
		set, err := image.New(image.Options{
			Daemon: daemon, Version: o.version, Revision: o.revision, Created: o.time(),
			Repository: o.repository + "/" + daemon, Builds: builds, Licence: licence, Sources: from,
		})
		if err != nil {
			return err
		}
		lines, err := set.Write(o.out)
		if err != nil {
			return err
		}
		for _, l := range lines {
			size := "-"
			if l.Size > 0 {
				size = fmt.Sprintf("%.1f MB", float64(l.Size)/1e6)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", l.Digest, l.Platform, size, l.File)
		}
	}
	return table.Flush()
}

// found lists the binaries of a daemon, DIR/OS-ARCH/DAEMON, sorted by platform.
func (o *options) found(daemon string) ([]image.Build, error) {
	files, err := filepath.Glob(filepath.Join(o.builds, "*", daemon))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var builds []image.Build
	for _, f := range files {
		p, err := v1.ParsePlatform(strings.ReplaceAll(filepath.Base(filepath.Dir(f)), "-", "/"))
		if err != nil {
			return nil, fmt.Errorf("%s: the directory is to be called OS-ARCH: %w", f, err)
		}
		builds = append(builds, image.Build{Platform: *p, Binary: f})
	}
	if len(builds) == 0 {
		return nil, fmt.Errorf("no binary of %q in %s/OS-ARCH/", daemon, o.builds)
	}
	return builds, nil
}

func (o *options) rootfs() error {
	binary, err := os.ReadFile(o.binary)
	if err != nil {
		return err
	}
	licence, err := os.ReadFile(o.licence)
	if err != nil {
		return err
	}
	from, err := sources()
	if err != nil {
		return err
	}
	modules, err := notices.Of(o.binary, from)
	if err != nil {
		return err
	}
	all, err := rootfs.Image(o.daemon, from.GoRoot, binary, map[string][]byte{
		"LICENSE": licence, "THIRD-PARTY-LICENSES.txt": notices.Text(o.daemon, modules),
	})
	if err != nil {
		return err
	}
	return all.WriteTo(o.out)
}

func (o *options) modules() ([]notices.Module, error) {
	from, err := sources()
	if err != nil {
		return nil, err
	}
	return notices.Of(o.binary, from)
}

func (o *options) sbom() error {
	modules, err := o.modules()
	if err != nil {
		return err
	}
	b, err := sbom.New(o.binary, sbom.Options{Name: o.daemon, Version: o.version, Revision: o.revision, Created: o.time(), Modules: modules})
	if err != nil {
		return err
	}
	return os.WriteFile(o.out, b, 0o644)
}

func (o *options) notices() error {
	modules, err := o.modules()
	if err != nil {
		return err
	}
	return os.WriteFile(o.out, notices.Text(o.daemon, modules), 0o644)
}
