package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/config/conf"
)

// Export is what an account offers to others: a stream or a service.
type Export struct {
	// Stream or Service is the subject, with wildcards.
	Stream  string
	Service string
	// Accounts that may import it; nil is everybody.
	Accounts []string
	// TokenPosition is the token, from 1, that must be the importer's name; 0: none.
	TokenPosition int
	// Response of a service: singleton, stream or chunked.
	Response account.ResponseType
	// Threshold is how long answers of a service are waited for; 0 is
	// [account.DefaultThreshold].
	Threshold time.Duration
	// Latency of a service is measured and published; nil: not.
	Latency *account.Latency
	// AllowTrace lets traces of requests go on in the account of a service.
	AllowTrace bool
}

// Import takes what another account exports.
type Import struct {
	// Stream or Service says what.
	Stream  *Source
	Service *Source
	// Prefix or To names it in the importing account; see [account.Import].
	Prefix string
	To     string
	// Share tells a service who asks.
	Share bool
	// AllowTrace lets traces of a stream's messages go on in the importing account.
	AllowTrace bool
}

// Source is subjects of another account.
type Source struct {
	Account string
	Subject string
}

// Definitions are the accounts' exports, imports, mappings and limits. "$G" comes last,
// if anything is said of it.
func (c *Config) Definitions() []account.Definition {
	defs := make([]account.Definition, 0, len(c.Accounts)+1)
	for i := range c.Accounts {
		a := &c.Accounts[i]
		d := account.Definition{Name: a.Name, Mappings: a.Mappings, Limits: a.Limits, Trace: a.Trace}
		for k := range a.Exports {
			d.Exports = append(d.Exports, a.Exports[k].definition())
		}
		for k := range a.Imports {
			d.Imports = append(d.Imports, a.Imports[k].definition())
		}
		defs = append(defs, d)
	}
	if len(c.Mappings) > 0 {
		defs = append(defs, account.Definition{Name: DefaultAccount, Mappings: c.Mappings})
	}
	return c.offer(defs)
}

// systemServices are what other accounts may import from the system account without
// anybody having to say so.
var systemServices = [...]string{"$SYS.DEBUG.SUBSCRIBERS"}

// offer adds the system account's own exports, if somebody wants them.
func (c *Config) offer(defs []account.Definition) []account.Definition {
	wanted := func(subject string) bool {
		return slices.ContainsFunc(defs, func(d account.Definition) bool {
			return slices.ContainsFunc(d.Imports, func(i account.Import) bool {
				return i.Kind == account.Service && i.From == c.SystemAccount && i.Subject == subject
			})
		})
	}
	for _, subject := range systemServices {
		if c.NoSystemAccount || !wanted(subject) {
			continue
		}
		at := slices.IndexFunc(defs, func(d account.Definition) bool { return d.Name == c.SystemAccount })
		if at < 0 {
			at = len(defs)
			defs = append(defs, account.Definition{Name: c.SystemAccount})
		}
		defs[at].Exports = append(slices.Clone(defs[at].Exports), account.Export{Kind: account.Service, Subject: subject})
	}
	return defs
}

func (e *Export) definition() account.Export {
	d := account.Export{
		Kind: account.Stream, Subject: e.Stream, Private: e.Accounts != nil, Accounts: e.Accounts,
		TokenPosition: e.TokenPosition, Response: e.Response, Threshold: e.Threshold, Latency: e.Latency, AllowTrace: e.AllowTrace,
	}
	if e.Service != "" {
		d.Kind, d.Subject = account.Service, e.Service
	}
	return d
}

func (i *Import) definition() account.Import {
	d := account.Import{Kind: account.Stream, Prefix: i.Prefix, To: i.To, Share: i.Share, AllowTrace: i.AllowTrace}
	src := i.Stream
	if i.Service != nil {
		d.Kind, src = account.Service, i.Service
	}
	d.From, d.Subject = src.Account, src.Subject
	return d
}

var exportScope = sync.OnceValue(func() *scope {
	return checked(checkExport, newScope("export", "Unknown field %q parsing export", []*option{
		{yaml: "stream", conf: "stream", kind: kCustom, read: readSubject, field: "Stream"},
		{yaml: "service", conf: "service", kind: kCustom, read: readSubject, field: "Service"},
		{yaml: "accounts", conf: "accounts", kind: kStrings, field: "Accounts"},
		{yaml: "account_token_position", conf: "account_token_position", kind: kCustom, read: atLeast(1), field: "TokenPosition"},
		{yaml: "response", conf: "response/response_type", kind: kCustom, read: readResponse, field: "Response"},
		{yaml: "threshold", conf: "threshold/response_threshold/response_max_time/response_time", kind: kStrictDuration, field: "Threshold"},
		{yaml: "latency", conf: "latency", kind: kCustom, read: readLatency, field: "Latency"},
		{yaml: "allow_trace", conf: "allow_trace", kind: kBool, field: "AllowTrace"},
	}))
})

var importScope = sync.OnceValue(func() *scope {
	return checked(checkImport, newScope("import", "Unknown field %q parsing import", []*option{
		{yaml: "stream.account", conf: "stream.account", kind: kString, field: "Stream.Account"},
		{yaml: "stream.subject", conf: "stream.subject", kind: kCustom, read: readSubject, field: "Stream.Subject"},
		{yaml: "service.account", conf: "service.account", kind: kString, field: "Service.Account"},
		{yaml: "service.subject", conf: "service.subject", kind: kCustom, read: readSubject, field: "Service.Subject"},
		{yaml: "prefix", conf: "prefix", kind: kString, field: "Prefix"},
		{yaml: "to", conf: "to", kind: kString, field: "To"},
		{yaml: "share", conf: "share", kind: kBool, field: "Share"},
		{yaml: "allow_trace", conf: "allow_trace", kind: kBool, field: "AllowTrace"},
	}))
})

// sharingRows are the options of an account that are about others.
func sharingRows() []*option {
	return []*option{
		{yaml: "exports", conf: "exports", kind: kList, item: exportScope, field: "Exports"},
		{yaml: "imports", conf: "imports", kind: kList, item: importScope, field: "Imports"},
		{yaml: "mappings", conf: "mappings/maps", kind: kCustom, read: readMappings, field: "Mappings"},
		{yaml: "limits.max_connections", conf: "limits.max_connections/max_conn", kind: kCustom, read: readLimit, field: "Limits.MaxConnections"},
		{yaml: "limits.max_leafs", conf: "limits.max_leafnodes/max_leafs", kind: kCustom, read: readLimit, field: "Limits.MaxLeafNodes"},
		{yaml: "limits.max_subscriptions", conf: "limits.max_subscriptions/max_subs", kind: kCustom, read: readLimit, field: "Limits.MaxSubscriptions"},
		{yaml: "limits.max_payload", conf: "limits.max_payload/max_pay", kind: kCustom, read: readPayloadLimit, field: "Limits.MaxPayload"},
	}
}

func checkExport(d *decoder, pos conf.Pos, path string, item any) {
	d.place(account.OfExport, pos, path)
	e := item.(*Export)
	service := e.Response != account.Singleton || e.Threshold != 0
	switch {
	case e.Stream != "" && e.Service != "":
		d.errorf(pos, path, "Detected stream and service in one export: want one of them")
	case e.Stream == "" && e.Service == "":
		d.errorf(pos, path, "an export needs stream or service")
	case service && e.Service == "":
		d.errorf(pos, path, "response and threshold are options of a service")
	case e.Service == "" && (e.Latency != nil || e.AllowTrace):
		d.errorf(pos, path, "latency and allow_trace are options of a service; of a stream it is the import that has allow_trace")
	case e.Threshold < 0:
		d.errorf(pos, path, "threshold must be above 0, got %v", e.Threshold)
	}
}

func checkImport(d *decoder, pos conf.Pos, path string, item any) {
	d.place(account.OfImport, pos, path)
	i := item.(*Import)
	src := i.Stream
	if src == nil {
		src = i.Service
	}
	switch {
	case i.Stream != nil && i.Service != nil:
		d.errorf(pos, path, "Detected stream and service in one import: want one of them")
	case src == nil:
		d.errorf(pos, path, "an import needs stream or service")
	case src.Account == "" || src.Subject == "":
		d.errorf(pos, path, "an import needs the account that it is from, and the subject there")
	case i.Prefix != "" && i.To != "" && i.Stream != nil:
		d.errorf(pos, path, "Stream import can not have a 'prefix' and a 'to' property")
	case i.Service != nil && i.Prefix != "":
		d.errorf(pos, path, "prefix is an option of a stream; use to")
	case i.Service != nil && i.AllowTrace:
		d.errorf(pos, path, "allow_trace is an option of a stream; of a service it is the export that has it")
	case i.Stream != nil && i.Share:
		d.errorf(pos, path, "share is an option of a service")
	}
}

func readSubject(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind != conf.String {
		d.errorf(v.Pos, path, "want a subject, got %s", v.Describe())
		return nil, false
	}
	if !validSubject(v.Str) {
		d.errorf(v.Pos, path, "subject %q is not a valid subject", v.Str)
		return nil, false
	}
	return v.Str, true
}

var responseWords = map[string]account.ResponseType{
	"singleton": account.Singleton, "single": account.Singleton,
	"stream": account.Streamed, "chunked": account.Chunked, "chunk": account.Chunked,
}

func readResponse(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind == conf.String {
		if r, ok := responseWords[strings.ToLower(v.Str)]; ok {
			return r, true
		}
	}
	d.errorf(v.Pos, path, "want singleton, stream or chunked, got %s", v.Describe())
	return nil, false
}

func readLimit(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind != conf.Integer || v.Int == 0 || v.Int != int64(int32(v.Int)) {
		d.errorf(v.Pos, path, "want 1 or more, or -1 for no limit, got %s", v.Describe())
		return nil, false
	}
	return int(v.Int), true
}

func readPayloadLimit(d *decoder, path string, v *conf.Value) (any, bool) {
	n, ok := readPayload(d, path, v)
	if ok && n.(int64) == 0 {
		d.errorf(v.Pos, path, "want 1 or more, or -1 for no limit, got 0")
		return nil, false
	}
	return n, ok
}

// readMappings reads a map from subjects to destinations, in YAML a list of
// {from, to}. A destination is a subject or {destination, weight, cluster}, or there
// is a list of them.
func readMappings(d *decoder, path string, v *conf.Value) (any, bool) {
	before := len(d.errors)
	var list []account.Mapping
	add := func(pos conf.Pos, from string, to *conf.Value) {
		part := account.OfMapping
		if !strings.HasPrefix(lower(path), "accounts") {
			part = ofGlobalMapping
		}
		d.place(part, pos, join(path, from))
		list = append(list, account.Mapping{Source: from, To: d.destinations(join(path, from), to)})
	}
	switch {
	case v.Kind == conf.Map && d.lang == langConf:
		for _, e := range v.Entries {
			if !e.Variable {
				add(e.Pos, e.Key, e.Value)
			}
		}
	case v.Kind == conf.Array && d.lang == langYAML:
		for i, it := range v.Items {
			p := fmt.Sprintf("%s[%d]", path, i)
			if it.Kind != conf.Map || len(it.Entries) != 2 || it.Get("from") == nil || it.Get("to") == nil || it.Get("from").Kind != conf.String {
				d.errorf(it.Pos, p, "want {from: subject, to: destinations}, got %s", it.Describe())
				continue
			}
			add(it.Pos, it.Get("from").Str, it.Get("to"))
		}
	case v.Kind == conf.Null:
	default:
		d.errorf(v.Pos, path, "want %s, got %s", map[lang]string{langYAML: "a list of {from, to}", langConf: "a map of subjects"}[d.lang], v.Describe())
	}
	return list, len(d.errors) == before
}

func (d *decoder) destinations(path string, v *conf.Value) []account.Destination {
	var list []account.Destination
	switch v.Kind {
	case conf.String:
		list = append(list, account.Destination{Subject: v.Str, Weight: 100})
	case conf.Map:
		if to, ok := d.destination(path, v); ok {
			list = append(list, to)
		}
	case conf.Array:
		for _, it := range v.Items {
			if it.Kind != conf.Map {
				d.errorf(it.Pos, path, "want {subject, weight}, got %s", it.Describe())
				continue
			}
			if to, ok := d.destination(path, it); ok {
				list = append(list, to)
			}
		}
	default:
		d.errorf(v.Pos, path, "want a subject, {subject, weight}, or a list of them, got %s", v.Describe())
	}
	return list
}

func (d *decoder) destination(path string, v *conf.Value) (to account.Destination, ok bool) {
	before := len(d.errors)
	weighed := false
	for _, e := range v.Entries {
		switch lower(e.Key) {
		case "subject", "destination", "dest":
			if e.Value.Kind != conf.String {
				d.errorf(e.Value.Pos, path, "want a subject, got %s", e.Value.Describe())
				continue
			}
			to.Subject = e.Value.Str
		case "weight":
			weighed = true
			to.Weight = d.weight(path, e.Value)
		case "cluster":
			if e.Value.Kind != conf.String {
				d.errorf(e.Value.Pos, path, "want the name of a cluster, got %s", e.Value.Describe())
				continue
			}
			to.Cluster = e.Value.Str
		default:
			if !e.Variable {
				d.errorf(e.Pos, path, "Unknown field %q for mapping destination", e.Key)
			}
		}
	}
	if !weighed && len(d.errors) == before {
		d.errorf(v.Pos, path, "Missing weight for mapping destination %q", to.Subject)
	}
	return to, len(d.errors) == before
}

func (d *decoder) weight(path string, v *conf.Value) int {
	n, ok := v.Int, v.Kind == conf.Integer
	if v.Kind == conf.String {
		k, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(v.Str), "%"))
		n, ok = int64(k), err == nil
	}
	switch {
	case !ok:
		d.errorf(v.Pos, path, "Unknown entry type for weight of a mapping: want 0 to 100, got %s", v.Describe())
		return 0
	case n < 0 || n > 100:
		d.errorf(v.Pos, path, "Invalid weight %d for mapping destination", n)
		return 0
	}
	return int(n)
}

// ofGlobalMapping marks the mappings of "$G", which stand apart.
const ofGlobalMapping = account.OfTrace + 1

// place is where a part of an account stands in the file. Those of one kind are in
// the order of the accounts.
type place struct {
	part account.Part
	pos  conf.Pos
	path string
}

func (d *decoder) place(part account.Part, pos conf.Pos, path string) {
	d.places = append(d.places, place{part, pos, path})
}

// validateSharing judges what accounts share, once there is nothing else wrong with them.
func (l *loader) validateSharing() {
	if len(l.errors) > 0 {
		return
	}
	defs := l.cfg.Definitions()
	known := defs
	for _, name := range []string{DefaultAccount, l.cfg.SystemAccount} {
		if name != "" && account.NewSet(known).Definition(name) == nil {
			known = append(known[:len(known):len(known)], account.Definition{Name: name})
		}
	}
	for _, p := range account.Check(known) {
		at := l.placeOf(defs, p)
		l.errorf(at.pos, at.path, "%v", p.Err)
	}
}

// placeOf finds where the part stands that a problem is about.
func (l *loader) placeOf(defs []account.Definition, p account.Problem) place {
	part, n := p.Part, p.Index
	if p.Part == account.OfMapping && defs[p.Account].Name == DefaultAccount {
		part = ofGlobalMapping
	} else {
		for _, d := range defs[:p.Account] {
			traces := 0
			if d.Trace != nil {
				traces = 1
			}
			n += map[account.Part]int{
				account.OfExport: len(d.Exports), account.OfImport: len(d.Imports), account.OfMapping: len(d.Mappings), account.OfTrace: traces,
			}[p.Part]
		}
	}
	for _, at := range l.places {
		if at.part != part {
			continue
		}
		if n == 0 {
			return at
		}
		n--
	}
	return place{pos: conf.Pos{File: l.cfg.File}}
}
