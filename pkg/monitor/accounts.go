package monitor

import (
	"slices"
	"time"

	"github.com/banyanmq/banyan/pkg/account"
)

// AccountMore is what the settings or a token say of an account.
type AccountMore struct {
	account.Definition
	Updated *time.Time
	Expired bool
	// Token and the rest are of accounts of an operator.
	Token      string
	Issuer     string
	NameTag    string
	Tags       []string
	Decoded    any // the claims, as they are encoded
	Validation []TokenFinding
	Revoked    map[string]time.Time
}

// TokenFinding is something that is wrong with a token.
type TokenFinding struct {
	Description string `json:"description"`
	Blocking    bool   `json:"blocking"`
	TimeCheck   bool   `json:"time_check"`
}

// AccountMapping is one destination of a mapping.
type AccountMapping struct {
	Subject string `json:"subject"`
	Weight  int    `json:"weight"`
	Cluster string `json:"cluster,omitempty"`
}

// AccountExport is what an account offers to others.
type AccountExport struct {
	Name          string          `json:"name,omitempty"`
	Subject       string          `json:"subject,omitempty"`
	Type          string          `json:"type,omitempty"`
	TokenReq      bool            `json:"token_req,omitempty"`
	ResponseType  string          `json:"response_type,omitempty"`
	Threshold     time.Duration   `json:"response_threshold,omitempty"`
	Latency       *AccountLatency `json:"service_latency,omitempty"`
	TokenPosition int             `json:"account_token_position,omitempty"`
	AllowTrace    bool            `json:"allow_trace,omitempty"`
	Approved      []string        `json:"approved_accounts,omitempty"`
}

// AccountLatency is what is measured of a service.
type AccountLatency struct {
	Sampling int    `json:"sampling"`
	Results  string `json:"results"`
}

// AccountImport is what an account takes from another.
type AccountImport struct {
	Subject      string `json:"subject,omitempty"`
	Account      string `json:"account,omitempty"`
	Token        string `json:"token,omitempty"`
	To           string `json:"to,omitempty"`
	LocalSubject string `json:"local_subject,omitempty"`
	Type         string `json:"type,omitempty"`
	Share        bool   `json:"share"`
	AllowTrace   bool   `json:"allow_trace,omitempty"`
	Invalid      bool   `json:"invalid"`
	Tracking     bool   `json:"tracking"`
}

// more is what is said of an account: by its token, else by the settings.
func (r *Reports) more(name string) AccountMore {
	if f := r.o.Hooks.Account; f != nil {
		if m := f(name); m != nil {
			return *m
		}
	}
	for _, d := range r.Settings().Definitions() {
		if d.Name == name {
			return AccountMore{Definition: d}
		}
	}
	return AccountMore{}
}

// show puts it into the answer.
func (m *AccountMore) show(d *AccountDetail) {
	d.Updated, d.Expired = m.Updated, m.Expired
	d.JWT, d.Issuer, d.NameTag, d.Tags = m.Token, m.Issuer, m.NameTag, m.Tags
	d.Decoded, d.Validation, d.Revoked = m.Decoded, m.Validation, m.Revoked
	for _, p := range m.Mappings {
		if d.Mappings == nil {
			d.Mappings = map[string][]AccountMapping{}
		}
		for _, to := range p.To {
			d.Mappings[p.Source] = append(d.Mappings[p.Source], AccountMapping(to))
		}
	}
	for i := range m.Exports {
		d.Exports = append(d.Exports, showExport(&m.Exports[i]))
	}
	for i := range m.Imports {
		d.Imports = append(d.Imports, showImport(&m.Imports[i]))
	}
}

func showExport(e *account.Export) AccountExport {
	x := AccountExport{
		Subject: e.Subject, Type: e.Kind.String(), TokenReq: e.Private, TokenPosition: e.TokenPosition, AllowTrace: e.AllowTrace,
		Threshold: e.Threshold, Approved: slices.Clone(e.Accounts),
	}
	if e.Kind == account.Service {
		x.ResponseType = [...]string{account.Singleton: "Singleton", account.Streamed: "Stream", account.Chunked: "Chunked"}[e.Response]
	}
	if l := e.Latency; l != nil {
		x.Latency = &AccountLatency{l.Sampling, l.Subject}
	}
	return x
}

// showImport leaves out the activation token, which is a credential of sorts.
func showImport(i *account.Import) AccountImport {
	x := AccountImport{Subject: i.Subject, Account: i.From, Type: i.Kind.String(), Share: i.Share, AllowTrace: i.AllowTrace}
	t, err := i.Local()
	x.Invalid = err != nil
	switch {
	case err != nil:
	case i.Kind == account.Service:
		x.To = i.To
	case i.Prefix != "" || i.To != "":
		x.LocalSubject = t.Destination()
	}
	return x
}
