package client

import "github.com/banyanmq/banyan/pkg/auth"

// Who is the identity of the client, nil if it has none.
func (d Details) Who() *auth.Identity { return d.Identity }
