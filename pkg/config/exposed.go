package config

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// holds notes that a file has secrets in it.
func (r *report) holds(file, what string) {
	if r.secrets == nil {
		r.secrets = map[string]string{}
	}
	if _, known := r.secrets[file]; !known {
		r.secrets[file] = what
	}
}

// holdsLiteral notes that a secret stands in the file of a value. What comes from the
// environment or a flag does not, and a hash is none.
func (r *report) holdsLiteral(v *conf.Value, text string) {
	if v.Pos.Line == 0 || v.Env != "" || text == "" || strings.HasPrefix(text, "$2") {
		return
	}
	if _, err := os.Stat(text); err == nil {
		return // a seed may be the name of its file
	}
	r.holds(v.Pos.File, "passwords, tokens or seeds")
}

// keyFiles notes the files that the settings name and that are read when they are needed.
func (l *loader) keyFiles() {
	for _, b := range l.cfg.TLSBlocks() {
		for _, p := range b.TLS.Certificates {
			l.holds(p.KeyFile, "a private key")
		}
	}
	if l.cfg.LeafNodes == nil {
		return
	}
	for _, r := range l.cfg.LeafNodes.Remotes {
		if r.Credentials != "" {
			l.holds(r.Credentials, "a user's token and the seed of its key")
		}
		if s := string(r.Seed); s != "" {
			if _, _, err := nkeys.DecodeSeed([]byte(s)); err != nil {
				l.holds(s, "the seed of a user's key")
			}
		}
	}
}

// Exposed are warnings of files that hold secrets and that every user of the machine
// may read, one for each. Links are followed.
func (c *Config) Exposed() []Warning {
	var list []Warning
	for file, what := range c.secrets {
		i, err := os.Stat(file)
		if err != nil || !i.Mode().IsRegular() || i.Mode().Perm()&0o004 == 0 {
			continue
		}
		list = append(list, Warning{Pos: conf.Pos{File: file}, Message: fmt.Sprintf("holds %s, and every user of this machine can read it: run chmod o-rwx %s", what, quoted(file))})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Pos.File < list[j].Pos.File })
	return list
}

// quoted is a name as a shell takes it.
func quoted(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,@%:=") == "" {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
