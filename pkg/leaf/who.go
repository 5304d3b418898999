package leaf

import "github.com/banyanmq/banyan/pkg/auth"

// Who is the identity of a leaf node that dialed us, else nil.
func (d Details) Who() *auth.Identity { return d.Identity }
