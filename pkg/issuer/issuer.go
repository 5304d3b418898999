package issuer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// SystemAccount is the name of the account that servers speak in.
const SystemAccount = "SYS"

// Store is the directory.
type Store struct{ Dir string }

// File says what was done about one file.
type File struct {
	Path   string `json:"path"`
	Action string `json:"action"` // wrote or kept
}

// Result is one thing that was made, or was there.
type Result struct {
	Kind    string `json:"kind"` // operator, account or user
	Name    string `json:"name"`
	Key     string `json:"key"` // the public one
	Account string `json:"account,omitempty"`
	JWT     string `json:"jwt,omitempty"`   // file
	Creds   string `json:"creds,omitempty"` // file
	Files   []File `json:"files"`
}

// goodName is compiled when a key is made, not when a daemon starts.
var goodName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`) })

func checkName(kind, name string) error {
	if !goodName().MatchString(name) {
		return fmt.Errorf("name %q of the %s: want letters, digits, '_', '-' and '.', 64 at most", name, kind)
	}
	return nil
}

func (s Store) path(parts ...string) string {
	return filepath.Join(append([]string{s.Dir}, parts...)...)
}

// Operator makes the operator with its system account and that account's user
// "sys".
func (s Store) Operator(name string) ([]*Result, error) {
	if err := checkName("operator", name); err != nil {
		return nil, err
	}
	r := &Result{Kind: "operator", JWT: s.path("operator.jwt")}
	kp, err := s.key(r, s.path("operator.nk"), nkeys.PrefixByteOperator)
	if err != nil {
		return nil, err
	}
	defer kp.Wipe()
	sys, err := s.account(SystemAccount, kp)
	if err != nil {
		return nil, err
	}
	if old, err := readToken(r.JWT, jwt.DecodeOperatorClaims); err == nil {
		if old.Subject != r.Key || old.SystemAccount != sys.Key {
			return nil, fmt.Errorf("%s is not of the key in operator.nk and the account %s: move one of them away", r.JWT, SystemAccount)
		}
		r.Name = old.Name
		r.kept(r.JWT)
	} else if errors.Is(err, fs.ErrNotExist) {
		c := jwt.NewOperatorClaims(r.Key)
		r.Name, c.Name, c.SystemAccount = name, name, sys.Key
		if err := r.token(r.JWT, c, kp); err != nil {
			return nil, err
		}
	} else {
		return nil, err
	}
	user, err := s.User(User{Account: SystemAccount, Name: "sys"})
	if err != nil {
		return nil, err
	}
	return []*Result{r, sys, user}, s.Settings()
}

// Account makes an account without limits, and the settings anew.
func (s Store) Account(name string) (*Result, error) {
	kp, err := s.operatorKey()
	if err != nil {
		return nil, err
	}
	defer kp.Wipe()
	r, err := s.account(name, kp)
	if err != nil {
		return nil, err
	}
	return r, s.Settings()
}

func (s Store) operatorKey() (nkeys.KeyPair, error) {
	kp, err := readSeed(s.path("operator.nk"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no operator in %q: make one first", s.Dir)
	}
	return kp, err
}

func (s Store) account(name string, operator nkeys.KeyPair) (*Result, error) {
	if err := checkName("account", name); err != nil {
		return nil, err
	}
	r := &Result{Kind: "account", Name: name, JWT: s.path("accounts", name+".jwt")}
	kp, err := s.key(r, s.path("accounts", name+".nk"), nkeys.PrefixByteAccount)
	if err != nil {
		return nil, err
	}
	defer kp.Wipe()
	old, err := readToken(r.JWT, jwt.DecodeAccountClaims)
	switch {
	case err == nil && old.Subject == r.Key:
		r.kept(r.JWT)
		return r, nil
	case err == nil:
		return nil, fmt.Errorf("%s is not of the key beside it: move one of them away", r.JWT)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	c := jwt.NewAccountClaims(r.Key)
	c.Name = name
	if name == SystemAccount {
		systemExports(c)
	}
	return r, r.token(r.JWT, c, operator)
}

// systemExports are what tools expect every account to be able to import.
func systemExports(c *jwt.AccountClaims) {
	c.Exports = jwt.Exports{
		{Name: "account-monitoring-streams", Subject: "$SYS.ACCOUNT.*.>", Type: jwt.Stream, AccountTokenPosition: 3},
		{Name: "account-monitoring-services", Subject: "$SYS.REQ.ACCOUNT.*.*", Type: jwt.Service, ResponseType: jwt.ResponseTypeStream, AccountTokenPosition: 4},
	}
}

// User is what a user is to be.
type User struct {
	Account, Name     string
	AllowPub, DenyPub []string
	AllowSub, DenySub []string
	Responses         bool // may answer requests
	Bearer            bool
	ConnectionTypes   []string
	Networks          []string
	Expires           time.Duration // from now; 0: never
	Force             bool          // make it anew though it is there
}

// User makes a credentials file.
func (s Store) User(u User) (*Result, error) {
	if err := checkName("user", u.Name); err != nil {
		return nil, err
	}
	r := &Result{Kind: "user", Name: u.Name, Account: u.Account, Creds: s.path("creds", u.Account, u.Name+".creds")}
	if err := checkName("account", u.Account); err != nil {
		return nil, err
	}
	account, err := readSeed(s.path("accounts", u.Account+".nk"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no account %q in %q: make it first", u.Account, s.Dir)
	}
	if err != nil {
		return nil, err
	}
	defer account.Wipe()
	if !u.Force {
		old, err := readToken(r.Creds, jwt.DecodeUserClaims)
		if err == nil {
			r.Key = old.Subject
			r.kept(r.Creds)
			return r, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	kp, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	defer kp.Wipe()
	if r.Key, err = kp.PublicKey(); err != nil {
		return nil, err
	}
	c, err := u.claims(r.Key)
	if err != nil {
		return nil, err
	}
	token, err := c.Encode(account)
	if err != nil {
		return nil, err
	}
	seed, err := kp.Seed()
	if err != nil {
		return nil, err
	}
	b, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	return r, r.write(r.Creds, b, 0o600)
}

func (u *User) claims(key string) (*jwt.UserClaims, error) {
	c := jwt.NewUserClaims(key)
	c.Name = u.Name
	c.Pub = jwt.Permission{Allow: u.AllowPub, Deny: u.DenyPub}
	c.Sub = jwt.Permission{Allow: u.AllowSub, Deny: u.DenySub}
	if u.Responses {
		c.Resp = &jwt.ResponsePermission{MaxMsgs: 1}
	}
	c.BearerToken = u.Bearer
	for _, t := range u.ConnectionTypes {
		c.AllowedConnectionTypes.Add(strings.ToUpper(t))
	}
	c.Src = u.Networks
	if u.Expires > 0 {
		c.Expires = time.Now().Add(u.Expires).Unix()
	}
	vr := jwt.CreateValidationResults()
	if c.Validate(vr); vr.IsBlocking(true) {
		return nil, errors.Join(vr.Errors()...)
	}
	return c, nil
}

// Settings writes resolver.conf.
func (s Store) Settings() error {
	token, err := os.ReadFile(s.path("operator.jwt"))
	if err != nil {
		return err
	}
	files, err := filepath.Glob(s.path("accounts", "*.jwt"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	var b strings.Builder
	b.WriteString("# Made by \"keys\". Include it in a server's settings.\n")
	fmt.Fprintf(&b, "operator: %s\n", strings.TrimSpace(string(token)))
	var preload strings.Builder
	system := ""
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		c, err := jwt.DecodeAccountClaims(strings.TrimSpace(string(text)))
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		if c.Name == SystemAccount {
			system = c.Subject
		}
		fmt.Fprintf(&preload, "  # %s\n  %s: %s\n", c.Name, c.Subject, strings.TrimSpace(string(text)))
	}
	fmt.Fprintf(&b, "system_account: %s\nresolver: MEMORY\nresolver_preload: {\n%s}\n", system, preload.String())
	return writeFile(s.path("resolver.conf"), []byte(b.String()), 0o644)
}
