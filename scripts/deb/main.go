package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "deb:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var s source
	f := flag.NewFlagSet("deb", flag.ContinueOnError)
	f.StringVar(&s.root, "root", ".", "directory of the module")
	f.StringVar(&s.bin, "bin", "dist/deb/bin", "directory of ARCH/DAEMON; what is not there is not packed")
	f.StringVar(&s.native, "native", "", "directory of daemons that run here (default: that of this machine in -bin)")
	f.StringVar(&s.version, "version", "0.1.0-dev", "version of the program")
	f.StringVar(&s.maintainer, "maintainer", "The Banyan authors <banyanmq@users.noreply.github.com>", "name and address in the packages")
	f.IntVar(&s.level, "compression", 9, "1 is fast, 9 is small")
	epoch := f.Int64("epoch", 0, "time of all files, in seconds since 1970")
	out := f.String("out", "dist/deb", "directory for the packages")
	if err := f.Parse(args); err != nil {
		return err
	}
	if s.native == "" {
		s.native = filepath.Join(s.bin, nativeArch())
	}
	s.time = time.Unix(*epoch, 0)
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	made := 0
	for _, p := range products() {
		for _, arch := range p.archs {
			if _, err := os.Stat(filepath.Join(s.bin, arch, p.name)); err != nil {
				continue
			}
			if err := s.pack(p, arch, *out); err != nil {
				return err
			}
			made++
		}
	}
	if made == 0 {
		return fmt.Errorf("%s holds no ARCH/DAEMON", s.bin)
	}
	return nil
}

func (s *source) pack(p product, arch, out string) error {
	d, err := s.assemble(p, arch)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := d.write(&b); err != nil {
		return err
	}
	name := filepath.Join(out, fmt.Sprintf("%s_%s_%s.deb", p.name, debianVersion(s.version), arch))
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		return err
	}
	conffiles := slices.DeleteFunc(slices.Clone(d.files), func(f file) bool { return !f.conf })
	fmt.Printf("%s: %d KB, %d files, %d of them settings\n", name, b.Len()>>10, len(d.files), len(conffiles))
	return nil
}
