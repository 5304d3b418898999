package monitor

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
)

// CredentialEnd is when the credentials end by which a hub is told who we are.
type CredentialEnd struct {
	Remote  string
	Account string
	At      time.Time
}

// CredentialEnds looks into the files of credentials that the settings name. Those that do
// not end, and those that can't be read, are not there.
func (r *Reports) CredentialEnds() (all []CredentialEnd) {
	l := r.Settings().LeafNodes
	if l == nil {
		return nil
	}
	for i := range l.Remotes {
		remote := &l.Remotes[i]
		if remote.Credentials == "" {
			continue
		}
		if at, ok := credentialsEnd(remote.Credentials); ok {
			all = append(all, CredentialEnd{hubName(remote), cmp.Or(remote.Account, config.DefaultAccount), at})
		}
	}
	return all
}

// hubName is what a hub is called that may have no name, as package leaf calls it: by all
// its hosts.
func hubName(r *config.LeafRemote) string {
	if r.Name != "" {
		return r.Name
	}
	var hosts []string
	for _, u := range r.URLs {
		hosts = append(hosts, u.Host)
	}
	return fmt.Sprint(hosts)
}

// credentialsEnd finds the user's token in a file, and when it ends.
func credentialsEnd(file string) (at time.Time, ok bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return at, false
	}
	for line := range bytes.Lines(b) {
		if line = bytes.TrimSpace(line); !bytes.HasPrefix(line, []byte("eyJ")) {
			continue
		}
		parts := bytes.Split(line, []byte("."))
		if len(parts) != 3 {
			continue
		}
		body, err := base64.RawURLEncoding.AppendDecode(nil, parts[1])
		if err != nil {
			continue
		}
		var claims struct {
			Expires int64 `json:"exp"`
		}
		if json.Unmarshal(body, &claims) == nil {
			return time.Unix(claims.Expires, 0).UTC(), claims.Expires > 0
		}
	}
	return at, false
}
