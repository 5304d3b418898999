package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/atomicfile"
)

// Spec is what Ensure brings about: an authority in Dir and one certificate
// signed by it.
type Spec struct {
	Dir      string        // created with mode 0755 when missing
	Name     string        // common name, first DNS name, and base of the file names
	Hosts    []string      // further DNS names and IP addresses; a server without any answers for localhost as well
	URIs     []string      // e.g. spiffe://example.net/leaf/1
	Emails   []string      // a client's name as `verify_and_map` may want it
	Org      string        // organization of the subject
	Usage    Usage         // default Server
	Validity time.Duration // default DefaultValidity
	CAName   string        // common name of a new authority, default "Banyan test CA"
	Force    bool          // make the certificate anew though the one there is good
}

// Action says what Ensure did with a file.
type Action string

const (
	Wrote   Action = "wrote"   // it was not there
	Kept    Action = "kept"    // it was there and good
	Renewed Action = "renewed" // it was there and expired, for other names, or of another authority
)

// File is one file that Ensure looked after.
type File struct {
	Path   string `json:"path"`
	Action Action `json:"action"`
}

// Result says which files hold what.
type Result struct {
	CA       string    `json:"ca"`
	CAKey    string    `json:"ca_key"`
	Cert     string    `json:"cert"`
	Key      string    `json:"key"`
	Subject  string    `json:"subject"` // as user mapping by certificate sees it (RFC 2253)
	Usage    string    `json:"usage"`
	DNS      []string  `json:"dns,omitempty"`
	IPs      []string  `json:"ips,omitempty"`
	URIs     []string  `json:"uris,omitempty"`
	NotAfter time.Time `json:"not_after"`
	Files    []File    `json:"files"`
}

// Changed reports whether any file was written.
func (r *Result) Changed() bool {
	return slices.ContainsFunc(r.Files, func(f File) bool { return f.Action != Kept })
}

// Ensure makes sure that Spec.Dir holds ca.crt and ca.key, and NAME.crt and
// NAME.key for what the spec asks. Run twice it changes nothing the second
// time. A certificate is renewed when it has less than a tenth of its life left, when
// names or usage differ, or when the authority did not sign it. An authority
// that is there is never replaced: one that is expired or unreadable is an
// error, because everything that trusts it would break.
func Ensure(s Spec) (*Result, error) {
	req, err := s.request()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, err
	}
	res := &Result{
		CA:    filepath.Join(s.Dir, "ca.crt"),
		CAKey: filepath.Join(s.Dir, "ca.key"),
		Cert:  filepath.Join(s.Dir, s.Name+".crt"),
		Key:   filepath.Join(s.Dir, s.Name+".key"),
		Usage: req.Usage.String(),
	}
	ca, act, err := ensureAuthority(s, res.CA, res.CAKey)
	if err != nil {
		return nil, err
	}
	res.Files = append(res.Files, File{res.CA, act}, File{res.CAKey, act})
	pair, act, err := ensurePair(ca, req, s.Force, res.Cert, res.Key)
	if err != nil {
		return nil, err
	}
	res.Files = append(res.Files, File{res.Cert, act}, File{res.Key, act})
	res.Subject = pair.Cert.Subject.String()
	res.DNS, res.IPs, res.URIs = pair.Cert.DNSNames, ipStrings(pair.Cert.IPAddresses), uriStrings(pair.Cert.URIs)
	res.NotAfter = pair.Cert.NotAfter
	return res, nil
}

func (s Spec) request() (Request, error) {
	switch {
	case s.Dir == "":
		return Request{}, errors.New("no directory given for the certificates")
	case s.Name == "":
		return Request{}, errors.New("no name given for the certificate")
	case strings.ContainsAny(s.Name, "/\\\x00") || strings.HasPrefix(s.Name, "."):
		return Request{}, fmt.Errorf("name %q can't be a file name: use letters, digits, dots and dashes", s.Name)
	case s.Name == "ca":
		return Request{}, errors.New(`name "ca" is taken by the authority: choose another`)
	case s.Validity < 0:
		return Request{}, fmt.Errorf("validity %s is negative", s.Validity)
	}
	r := Request{CommonName: s.Name, Organization: s.Org, Usage: s.Usage, Validity: s.Validity, Emails: s.Emails}
	if r.Usage == 0 {
		r.Usage = Server
	}
	// A name with a space or the like is a fine common name and no DNS name.
	if isHostName(s.Name) {
		r.DNS = append(r.DNS, s.Name)
	}
	hosts := s.Hosts
	if len(hosts) == 0 && r.Usage&Server != 0 {
		hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	for _, h := range hosts {
		if net.ParseIP(h) == nil && !isHostName(strings.TrimPrefix(h, "*.")) {
			return Request{}, fmt.Errorf("host %q is neither a host name nor an IP address: leave scheme, port and brackets away", h)
		}
		if h != s.Name {
			r.AddHost(h)
		}
	}
	for _, u := range s.URIs {
		p, err := url.Parse(u)
		if err != nil || p.Scheme == "" {
			return Request{}, fmt.Errorf("uri %q is not a URI with a scheme, e.g. spiffe://example.net/leaf/1", u)
		}
		r.URIs = append(r.URIs, p)
	}
	return r, nil
}

func isHostName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_'
	})
}

func ensureAuthority(s Spec, certFile, keyFile string) (*Authority, Action, error) {
	ca, err := LoadAuthority(certFile, keyFile)
	if err == nil {
		if time.Now().After(ca.Cert.NotAfter) {
			return nil, "", fmt.Errorf("the authority %s expired on %s: use another directory, or remove ca.crt and ca.key and make every certificate anew",
				certFile, ca.Cert.NotAfter.Format(time.DateOnly))
		}
		return ca, Kept, nil
	}
	// Only where neither file exists is a new authority harmless.
	if exists(certFile) || exists(keyFile) {
		return nil, "", fmt.Errorf("reading the authority: %w", err)
	}
	name := s.CAName
	if name == "" {
		name = "Banyan test CA"
	}
	if ca, err = NewAuthority(name, 0); err != nil {
		return nil, "", err
	}
	return ca, Wrote, ca.WriteFiles(certFile, keyFile)
}

func ensurePair(ca *Authority, req Request, force bool, certFile, keyFile string) (*Pair, Action, error) {
	act := Wrote
	if exists(certFile) || exists(keyFile) {
		act = Renewed
		if old, err := LoadPair(certFile, keyFile); err == nil && !force && good(old.Cert, ca, req) {
			// The mode of a kept key is put right: it may have been copied about.
			if err := os.Chmod(keyFile, 0o600); err != nil {
				return nil, "", err
			}
			return old, Kept, nil
		}
	}
	p, err := ca.Issue(req)
	if err != nil {
		return nil, "", err
	}
	return p, act, p.WriteFiles(certFile, keyFile)
}

func good(c *x509.Certificate, ca *Authority, req Request) bool {
	now := time.Now()
	life := c.NotAfter.Sub(c.NotBefore)
	if now.Before(c.NotBefore) || now.Add(life/10).After(c.NotAfter) {
		return false
	}
	if c.CheckSignatureFrom(ca.Cert) != nil || !sameHosts(c, req) || c.Subject.CommonName != req.CommonName {
		return false
	}
	org := ""
	if len(c.Subject.Organization) > 0 {
		org = c.Subject.Organization[0]
	}
	return org == req.Organization && slices.Equal(c.ExtKeyUsage, extKeyUsage(req.Usage))
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// writeFile puts a file in place whole.
func writeFile(file string, b []byte, mode fs.FileMode) error {
	if err := atomicfile.Write(file, b, mode); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
