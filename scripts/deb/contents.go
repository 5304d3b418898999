package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// product is what the packages differ in.
type product struct {
	name        string
	short       string
	long        string
	alternative string // priority as nats-server; "": cannot stand in for one
	start       string // whether an installation starts the service
	archs       []string
}

func products() []product {
	return []product{
		{"hubd", "message server of a Banyan region", `Banyan is a messaging system that speaks the NATS protocols. hubd is the core
of a region: it serves clients, keeps routes to the other hubs of its
cluster, and takes in the links of edge nodes.
.
As installed it serves this machine alone.`, "20", "yes", []string{"amd64", "arm64"}},
		{"gwd", "border of a Banyan region", `Banyan is a messaging system that speaks the NATS protocols. gwd stands at the
border of a region: it joins the hubs as a member of their cluster and holds
the connections to other regions.
.
It is not started before its settings name hubs and regions.`, "", "no", []string{"amd64", "arm64"}},
		{"leafd", "edge node of Banyan", `Banyan is a messaging system that speaks the NATS protocols. leafd serves the
programs of one machine, with or without a network, and keeps a link to a
hub when there is one.
.
As installed it serves this machine alone.`, "10", "yes", []string{"amd64", "arm64", "armhf"}},
	}
}

// source is where a package's parts come from.
type source struct {
	root       string // of the module
	bin        string // ARCH/NAME and ARCH/NAME.licences
	native     string // NAME, which runs here
	version    string // of the program
	maintainer string
	time       time.Time
	level      int // of compression
}

// debianVersion makes a version that sorts as it should: 0.2.0-rc1 before 0.2.0, and what git
// describes as so many commits after a tag behind it.
func debianVersion(v string) string {
	base, rest, found := strings.Cut(v, "-")
	switch {
	case !found:
	case rest[0] >= '0' && rest[0] <= '9':
		base += "+" + strings.ReplaceAll(rest, "-", ".")
	default:
		base += "~" + strings.ReplaceAll(rest, "-", ".")
	}
	return base + "-1"
}

// assemble collects the package of one product for one architecture.
func (s *source) assemble(p product, arch string) (*deb, error) {
	d := &deb{time: s.time, level: s.level, fields: []field{
		{"Package", p.name},
		{"Version", debianVersion(s.version)},
		{"Section", "net"},
		{"Priority", "optional"},
		{"Architecture", arch},
		{"Maintainer", s.maintainer},
		{"Depends", "passwd"}, // what else the scripts use is essential
		{"Suggests", "logrotate"},
		{"Homepage", "https://github.com/banyanmq/banyan"},
		{"Description", p.short + "\n " + strings.ReplaceAll(p.long, "\n", "\n ")},
	}}
	c := collector{d: d}
	expand := strings.NewReplacer("@NAME@", p.name, "@ALTERNATIVE@", p.alternative, "@START@", p.start)
	for _, name := range []string{"preinst", "postinst", "prerm", "postrm"} {
		text := expand.Replace(string(c.read(s.root, "configs/debian", name)))
		d.scripts = append(d.scripts, file{path: name, mode: 0o755, body: []byte(text)})
	}
	doc := "/usr/share/doc/" + p.name + "/"
	c.add("/usr/bin/"+p.name, 0o755, c.read(s.bin, arch, p.name))
	c.add("/usr/lib/systemd/system/"+p.name+".service", 0o644, c.read(s.root, "configs/systemd", p.name+".service"))
	c.add("/usr/lib/sysusers.d/"+p.name+".conf", 0o644, c.read(s.root, "configs/systemd", p.name+".sysusers"))
	c.conf("/etc/"+p.name+"/"+p.name+".yaml", 0o640, c.read(s.root, "configs/debian", p.name+".yaml"))
	c.conf("/etc/default/"+p.name, 0o640, c.read(s.root, "configs/debian", p.name+".default"))
	c.conf("/etc/logrotate.d/"+p.name, 0o644, c.read(s.root, "configs/debian", p.name+".logrotate"))
	c.add(doc+"copyright", 0o644, s.copyright())
	c.add(doc+"changelog.Debian.gz", 0o644, gzipped(s.changelog(p)))
	c.add(doc+"licences-of-parts.gz", 0o644, gzipped(c.read(s.bin, arch, p.name+".licences")))
	for _, page := range []string{"SETTINGS.md", "COMMANDS.md", "LINUX.md"} {
		c.add(doc+page+".gz", 0o644, gzipped(c.read(s.root, "docs", page)))
	}
	c.add("/usr/share/lintian/overrides/"+p.name, 0o644, overrides(p.name))
	s.generated(&c, p.name)
	if c.err != nil {
		return nil, fmt.Errorf("%s for %s: %w", p.name, arch, c.err)
	}
	return d, nil
}

// generated adds what the program writes about itself.
func (s *source) generated(c *collector, name string) {
	dir, err := os.MkdirTemp("", "man")
	if err != nil {
		c.fail(err)
		return
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(s.native, name)
	c.output(exe, "docs", "man", dir)
	pages, err := os.ReadDir(dir)
	c.fail(err)
	for _, page := range pages {
		c.add("/usr/share/man/man8/"+page.Name()+".gz", 0o644, gzipped(c.read(dir, page.Name())))
	}
	c.add("/usr/share/bash-completion/completions/"+name, 0o644, c.output(exe, "completion", "bash"))
	c.add("/usr/share/zsh/vendor-completions/_"+name, 0o644, c.output(exe, "completion", "zsh"))
	c.add("/usr/share/fish/vendor_completions.d/"+name+".fish", 0o644, c.output(exe, "completion", "fish"))
}

// collector adds files until the first error.
type collector struct {
	d   *deb
	err error
}

func (c *collector) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *collector) add(path string, mode int64, body []byte) {
	c.d.files = append(c.d.files, file{path: path, mode: mode, body: body})
}

func (c *collector) conf(path string, mode int64, body []byte) {
	c.d.files = append(c.d.files, file{path: path, mode: mode, body: body, conf: true})
}

func (c *collector) read(parts ...string) []byte {
	b, err := os.ReadFile(filepath.Join(parts...))
	c.fail(err)
	return b
}

func (c *collector) output(exe string, args ...string) []byte {
	if c.err != nil {
		return nil
	}
	cmd := exec.Command(exe, args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		c.fail(fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, complaints.Bytes()))
	}
	return out
}

func (s *source) changelog(p product) []byte {
	return fmt.Appendf(nil, "%s (%s) unstable; urgency=medium\n\n  * Version %s; what is new stands in the release's notes.\n\n -- %s  %s\n",
		p.name, debianVersion(s.version), s.version, s.maintainer, s.time.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
}

func (s *source) copyright() []byte {
	return fmt.Appendf(nil, `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Banyan
Source: https://github.com/banyanmq/banyan

Files: *
Copyright: %d The Banyan authors
License: Apache-2.0
Comment:
 The program is linked statically with libraries under the licences Apache-2.0,
 BSD-2-Clause, BSD-3-Clause and MIT. Their texts are in licences-of-parts.gz
 beside this file.

License: Apache-2.0
 On Debian systems the whole text of the licence is in
 /usr/share/common-licenses/Apache-2.0.
`, s.time.UTC().Year())
}

// overrides are for lintian: what it is right about and what is meant to be so.
func overrides(name string) []byte {
	return fmt.Appendf(nil, `# Go programs are static, and are not position-independent.
%[1]s: statically-linked-binary [usr/bin/%[1]s]
%[1]s: hardening-no-pie [usr/bin/%[1]s]
%[1]s: hardening-no-relro [usr/bin/%[1]s]
# Both may hold passwords.
%[1]s: non-standard-file-perm 0640 != 0644 [etc/default/%[1]s]
%[1]s: non-standard-file-perm 0640 != 0644 [etc/%[1]s/%[1]s.yaml]
# It is not for Debian's own archive.
%[1]s: initial-upload-closes-no-bugs *
`, name)
}
