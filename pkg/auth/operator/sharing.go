package operator

//lint:file-ignore SA1019 tokens in use still carry the field To, and have to be read

import (
	"time"

	"github.com/nats-io/jwt/v2"

	acct "github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/auth/usertoken"
	"github.com/banyanmq/banyan/pkg/subject"
)

// Share makes accounts import, export and map as defined; others do none of it.
type Share func([]acct.Definition) error

// SetShare gives what is to be told how the loaded accounts share, and tells it.
func (o *Operator) SetShare(f Share) {
	o.sharing.Lock()
	o.tell = f
	o.sharing.Unlock()
	o.share()
}

// shares tells whether claims say anything about sharing, mapping or tracing, or limit what all
// servers have together.
func shares(c *jwt.AccountClaims) bool {
	return c != nil && (c.Trace != nil || len(c.Exports)+len(c.Imports)+len(c.Mappings) > 0 || limitsOf(c) != acct.Limits{})
}

// limitsOf are the limits that count what other servers have. That none may connect is
// judged here alone.
func limitsOf(c *jwt.AccountClaims) acct.Limits {
	limit := func(n int64) int { return int(max(min(n, 1<<31-1), 0)) }
	return acct.Limits{MaxConnections: limit(c.Limits.Conn), MaxLeafNodes: limit(c.Limits.LeafNodeConn)}
}

// share puts what the loaded accounts say into force. Accounts that they import
// from are loaded, at once where that needs no other server, else later. An
// import that nobody offers, or may not have, is left out until a change makes
// it whole. No locks are held.
func (o *Operator) share() {
	o.sharing.Lock()
	defer o.sharing.Unlock()
	if o.tell == nil || o.ctx.Err() != nil {
		return
	}
	_, local := o.o.Resolver.(Store)
	tried := make(map[string]bool)
	var all []*jwt.AccountClaims
	for again := true; again; {
		again = false
		all = o.claims()
		known := make(map[string]bool, len(all))
		for _, c := range all {
			known[c.Subject] = true
		}
		for _, c := range all {
			for _, i := range c.Imports {
				if known[i.Account] || tried[i.Account] {
					continue
				}
				tried[i.Account] = true
				if local {
					if _, err := o.fetch(i.Account, nil, nil); err == nil {
						again = true
						continue
					}
				}
				o.loadLater(i.Account)
			}
		}
	}
	defs := make([]acct.Definition, 0, len(all))
	until := int64(0)
	for _, c := range all {
		if shares(c) {
			d, end := o.define(c)
			defs = append(defs, d)
			if end > 0 && (until == 0 || end < until) {
				until = end
			}
		}
	}
	kept, wrong := acct.Prune(defs)
	for _, p := range wrong {
		o.log.Warnf("Account %s: %v", defs[p.Account].Name, p.Err)
	}
	if err := o.tell(kept); err != nil {
		o.log.Errorf("Sharing between accounts: %v", err)
	}
	if o.activations != nil {
		o.activations.Stop()
		o.activations = nil
	}
	if until > 0 {
		o.activations = time.AfterFunc(time.Unix(until, 0).Sub(o.o.Now()), o.share)
	}
}

// claims are those of the accounts in force.
func (o *Operator) claims() []*jwt.AccountClaims {
	var all []*jwt.AccountClaims
	for _, a := range o.loaded() {
		a.mu.Lock()
		if a.claims != nil && !a.deleted {
			all = append(all, a.claims)
		}
		a.mu.Unlock()
	}
	return all
}

// loadLater looks an account up that is imported from, once at a time.
func (o *Operator) loadLater(key string) {
	if o.wanted[key] {
		return
	}
	o.mu.Lock()
	ask := o.ask
	o.mu.Unlock()
	if _, local := o.o.Resolver.(Store); local && ask == nil {
		return // there is nobody to ask
	}
	o.wanted[key] = true
	o.work.Go(func() {
		_, err := o.lookup(key) // which shares
		o.sharing.Lock()
		delete(o.wanted, key)
		o.sharing.Unlock()
		if err != nil {
			o.log.Warnf("Account %s, which others import from: %v", key, err)
		}
	})
}

// define translates claims. end is when the first of the activation tokens of its
// imports expires, 0 if none does.
func (o *Operator) define(c *jwt.AccountClaims) (d acct.Definition, end int64) {
	d.Name, d.Limits = c.Subject, limitsOf(c)
	for _, e := range c.Exports {
		d.Exports = append(d.Exports, o.export(c, e))
	}
	for _, i := range c.Imports {
		d.Imports = append(d.Imports, importOf(i))
		if i.Token == "" {
			continue
		}
		if t, err := jwt.DecodeActivationClaims(i.Token); err == nil && t.Expires > o.o.Now().Unix() && (end == 0 || t.Expires < end) {
			end = t.Expires
		}
	}
	if t := c.Trace; t != nil {
		d.Trace = &acct.Trace{Dest: string(t.Destination), Sampling: t.Sampling}
		if t.Sampling == 0 {
			d.Trace.Sampling = 100
		}
	}
	for from, to := range c.Mappings {
		m := acct.Mapping{Source: string(from)}
		for _, w := range to {
			m.To = append(m.To, acct.Destination{Subject: string(w.Subject), Weight: int(w.GetWeight()), Cluster: w.Cluster})
		}
		d.Mappings = append(d.Mappings, m)
	}
	return d, end
}

func (o *Operator) export(c *jwt.AccountClaims, e *jwt.Export) acct.Export {
	x := acct.Export{
		Kind: kindOf(e.Type), Subject: string(e.Subject), TokenPosition: int(e.AccountTokenPosition),
		Threshold: e.ResponseThreshold, AllowTrace: e.AllowTrace, Private: e.TokenReq,
	}
	switch e.ResponseType {
	case jwt.ResponseTypeStream:
		x.Response = acct.Streamed
	case jwt.ResponseTypeChunked:
		x.Response = acct.Chunked
	}
	if l := e.Latency; l != nil {
		x.Latency = &acct.Latency{Subject: string(l.Results), Sampling: int(l.Sampling)}
	}
	if e.TokenReq {
		x.Admit = func(importer string, i *acct.Import) bool { return o.activated(c, e, importer, i) }
	}
	return x
}

// activated tells whether an import of a private export has a token for it: of
// the exporting account, for this importer and subject, in force and not revoked
// (jwt-operator 8).
func (o *Operator) activated(c *jwt.AccountClaims, e *jwt.Export, importer string, i *acct.Import) bool {
	t, err := jwt.DecodeActivationClaims(i.Token)
	if err != nil {
		return false
	}
	vr := jwt.CreateValidationResults()
	t.Validate(vr)
	_, signs := c.SigningKeys[t.Issuer]
	byKey := t.Issuer == c.Subject && (t.IssuerAccount == "" || t.IssuerAccount == c.Subject)
	bySigner := signs && t.IssuerAccount == c.Subject
	return !vr.IsBlocking(true) && !usertoken.Expired(t.Expires, o.o.Now()) && (byKey || bySigner) &&
		t.Subject == importer && kindOf(t.ImportType) == i.Kind &&
		subject.Subset(i.Subject, string(t.ImportSubject)) &&
		!e.Revocations.IsRevoked(importer, time.Unix(t.IssuedAt, 0))
}

func kindOf(t jwt.ExportType) acct.Kind {
	if t == jwt.Service {
		return acct.Service
	}
	return acct.Stream
}

// importOf translates an import. The old form of a renaming is a prefix for a
// stream, and for a service has the two names the other way round.
func importOf(i *jwt.Import) acct.Import {
	x := acct.Import{
		Kind: kindOf(i.Type), From: i.Account, Subject: string(i.Subject), To: string(i.LocalSubject),
		Share: i.Share, AllowTrace: i.AllowTrace, Token: i.Token,
	}
	switch {
	case i.LocalSubject != "" || i.To == "":
	case x.Kind == acct.Service:
		x.Subject, x.To = string(i.To), string(i.Subject)
	default:
		x.Prefix = string(i.To)
	}
	return x
}
