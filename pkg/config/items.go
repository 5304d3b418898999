package config

import (
	"fmt"
	"strings"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// Judgements on whole items of lists, made where the item stands.

func checked(check func(*decoder, conf.Pos, string, any), s *scope) *scope {
	s.check = check
	return s
}

// checkUser: names are unique across all accounts and the authorization block.
func checkUser(d *decoder, pos conf.Pos, path string, item any) {
	switch u := item.(*User); {
	case u.NKey != "" && (u.Name != "" || u.Password != ""):
		d.errorf(pos, path, "Nkey users do not take usernames or passwords")
	case u.NKey != "":
		if !d.first("nkey", u.NKey) {
			d.errorf(pos, path, "Duplicate nkey %q detected", u.NKey)
		}
	case u.Name == "":
		d.errorf(pos, path, "User entry requires a user")
	case !d.first("user", u.Name):
		d.errorf(pos, path, "Duplicate user %q detected", u.Name)
	}
}

func checkAccount(d *decoder, pos conf.Pos, path string, item any) {
	switch a := item.(*Account); {
	case a.Name == "":
		d.errorf(pos, path, "an account has no name")
	case a.Name == DefaultAccount:
		d.errorf(pos, path, "%q is a Reserved Account", DefaultAccount)
	case strings.ContainsAny(a.Name, " \t\r\n"):
		d.errorf(pos, path, "account name %q cannot contain spaces", a.Name)
	case !d.first("account", a.Name):
		d.errorf(pos, path, "Duplicate Account Entry: %s", a.Name)
	}
}

func checkPolicy(d *decoder, pos conf.Pos, path string, item any) {
	switch p := item.(*BorderPolicy); {
	case p.Account == "":
		d.errorf(pos, path, "a border policy needs an account")
	case !d.first("policy", p.Account):
		d.errorf(pos, path, "account %q has two border policies", p.Account)
	}
}

func checkRemoteGateway(d *decoder, pos conf.Pos, path string, item any) {
	switch r := item.(*RemoteGateway); {
	case r.Name == "":
		index := path[strings.LastIndexByte(path, '[')+1:]
		d.errorf(pos, path, "gateway in the list %s has no name", strings.TrimSuffix(index, "]"))
	case len(r.URLs) == 0:
		d.errorf(pos, path, "gateway %q has no URL", r.Name)
	case !d.first("gateway", r.Name):
		d.errorf(pos, path, "gateway %q is in the list twice", r.Name)
	}
}

func checkLeafUser(d *decoder, pos conf.Pos, path string, item any) {
	switch u := item.(*LeafUser); {
	case u.NKey != "" && (u.Name != "" || u.Password != ""):
		d.errorf(pos, path, "Nkey users do not take usernames or passwords")
	case u.NKey != "":
		if !d.first("leaf nkey", u.NKey) {
			d.errorf(pos, path, "Duplicate nkey %q detected", u.NKey)
		}
	case u.Name == "":
		d.errorf(pos, path, "User entry requires a user")
	case !d.first("leaf user", u.Name):
		d.errorf(pos, path, "duplicate user %q detected in leafnode authorization", u.Name)
	}
}

func checkLeafRemote(d *decoder, pos conf.Pos, path string, item any) {
	r := item.(*LeafRemote)
	urls := make([]string, len(r.URLs))
	ws := 0
	for i, u := range r.URLs {
		urls[i] = u.Redacted()
		if u.Scheme == "ws" || u.Scheme == "wss" {
			ws++
		}
	}
	account := r.Account
	if account == "" {
		account = DefaultAccount
	}
	switch {
	case r.Credentials != "" && r.Seed != "":
		d.errorf(pos, path, "a remote leaf node has a credentials file or an nkey seed, not both")
	case len(urls) == 0:
		d.errorf(pos, path, "a remote leaf node needs a url")
	case ws > 0 && ws < len(urls):
		d.errorf(pos, path, "remote leaf node configuration cannot have a mix of websocket and non-websocket urls: %q", urls)
	case !d.first("remote", fmt.Sprintf("%q %q", urls, account)):
		d.errorf(pos, path, "duplicate remote urls=%q, account=%q", urls, account)
	}
	checkProxy(d, pos, path, r)
}
