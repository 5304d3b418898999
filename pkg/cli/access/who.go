package access

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/operator"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/logging"
)

// errNobody is returned when the settings know no such user.
var errNobody = errors.New("no such user")

// bySettings finds a user of the settings by name or public key; name "" is who
// connects without one.
func bySettings(c *config.Config, name, accountName string) (*Who, error) {
	if name == "" {
		switch {
		case c.Auth.NoAuthUser != "":
			who, err := bySettings(c, c.Auth.NoAuthUser, accountName)
			if err == nil {
				who.Notes = append(who.Notes, fmt.Sprintf("who connects without a name is user %q (no_auth_user)", c.Auth.NoAuthUser))
			}
			return who, err
		case !c.AuthRequired(), c.Auth.Token != "":
			return &Who{Account: config.DefaultAccount}, nil
		}
		return nil, fmt.Errorf("%w: by these settings nobody connects without a name: say --user NAME", errNobody)
	}
	var found []*Who
	add := func(u *config.User, def *config.Permissions, place, in string) {
		if u.Account != "" {
			in = u.Account
		}
		if u.Name != name && u.NKey != name || accountName != "" && in != accountName {
			return
		}
		who := &Who{User: name, Account: in, Permissions: u.Permissions, Whose: fmt.Sprintf("in the permissions of user %q", name)}
		if def != nil && u.Permissions == def {
			who.Whose = "in default_permissions of " + place
		}
		if t := u.AllowedConnectionTypes; len(t) > 0 && !slices.Contains(t, config.Standard) {
			who.Notes = append(who.Notes, fmt.Sprintf("the user may connect as %v only", t))
		}
		found = append(found, who)
	}
	for i := range c.Auth.Users {
		add(&c.Auth.Users[i], c.Auth.DefaultPermissions, "authorization", config.DefaultAccount)
	}
	for i := range c.Accounts {
		a := &c.Accounts[i]
		for k := range a.Users {
			add(&a.Users[k], a.DefaultPermissions, fmt.Sprintf("account %q", a.Name), a.Name)
		}
	}
	if c.Auth.User != "" && c.Auth.User == name && (accountName == "" || accountName == config.DefaultAccount) {
		found = append(found, &Who{User: name, Account: config.DefaultAccount})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: %q%s; known are %s", errNobody, name, inAccount(accountName), known(c))
	}
	return found[0], nil
}

func inAccount(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" in account %q", name)
}

func known(c *config.Config) string {
	var names []string
	add := func(u *config.User) {
		if u.Name != "" {
			names = append(names, u.Name)
		} else {
			names = append(names, u.NKey)
		}
	}
	for i := range c.Auth.Users {
		add(&c.Auth.Users[i])
	}
	for i := range c.Accounts {
		for k := range c.Accounts[i].Users {
			add(&c.Accounts[i].Users[k])
		}
	}
	if c.Auth.User != "" {
		names = append(names, c.Auth.User)
	}
	if len(names) == 0 {
		return "none"
	}
	return list(names)
}

// byCredentials finds who a credentials file makes of its bearer, by the operators
// and the accounts' tokens of the settings: as a login does it, with its signature.
func byCredentials(c *config.Config, file string) (*Who, []account.Definition, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	token, err := jwt.ParseDecoratedJWT(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s holds no token of a user", file) // what it holds may be secret
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return nil, nil, fmt.Errorf("%s holds no token of a user: %w", file, err)
	}
	resolver, err := tokens(c)
	if err != nil {
		return nil, nil, err
	}
	op, err := operator.New(operator.Options{Settings: c.Operator, SystemAccount: c.SystemAccount, Resolver: resolver, Log: logging.Discard()})
	if err != nil {
		return nil, nil, err
	}
	defer op.Close()
	shown := &auth.Credentials{Kind: config.Standard, JWT: token, Nonce: "nonce of check access"}
	if kp, err := jwt.ParseDecoratedUserNKey(b); err == nil {
		defer kp.Wipe()
		if sig, err := kp.Sign([]byte(shown.Nonce)); err == nil {
			shown.Sig = encode(sig)
		}
	}
	id, err := op.Authenticate(shown)
	if err != nil {
		return nil, nil, fmt.Errorf("user %q of %s may not connect: %w", claims.Name, file, err)
	}
	who := &Who{User: claims.Name, Account: id.Account, Whose: fmt.Sprintf("in the token of user %q, or what its account and signing key say", claims.Name)}
	if id.Permissions != nil {
		who.Permissions = id.Permissions.Source
	}
	if id.AccountTag != "" {
		who.Notes = append(who.Notes, fmt.Sprintf("account %s is named %q", id.Account, id.AccountTag))
	}
	var defs []account.Definition
	op.SetShare(func(d []account.Definition) error {
		defs = d
		return nil
	})
	return who, defs, nil
}

// tokens are the accounts' tokens that the settings name, without opening what a
// running daemon writes to.
func tokens(c *config.Config) (operator.Resolver, error) {
	r := c.Operator.Resolver
	switch r.Kind {
	case config.ResolverFull, config.ResolverCache:
		entries, err := os.ReadDir(r.Dir)
		if err != nil {
			return nil, fmt.Errorf("the directory of accounts' tokens: %w", err)
		}
		m := operator.NewMemory()
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".jwt") {
				continue
			}
			b, err := os.ReadFile(filepath.Join(r.Dir, e.Name()))
			if err != nil {
				return nil, err
			}
			token := strings.TrimSpace(string(b))
			if claims, err := jwt.DecodeAccountClaims(token); err == nil {
				if _, err := m.Save(claims, token, false); err != nil {
					return nil, err
				}
			}
		}
		return m, nil
	}
	return operator.NewResolver(r, c.Operator.ResolverTLS)
}
