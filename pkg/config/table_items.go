package config

import (
	"strings"
	"sync"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// Options of the items of lists, and of blocks that occur in several places.

var userScope = sync.OnceValue(func() *scope {
	return checked(checkUser, newScope("user", "unknown field %q", []*option{
		{yaml: "name user", conf: "user/username", kind: kString, field: "Name"},
		{yaml: "password", conf: "pass/password", kind: kSecret, field: "Password"},
		{yaml: "permissions", conf: "permissions/permission/authorization", kind: kCustom, read: readPermissions, field: "Permissions"},
		{yaml: "connection_types", conf: "allowed_connection_types/connection_types/clients", kind: kCustom, read: readConnectionTypes, field: "AllowedConnectionTypes"},
		{yaml: "nkey", conf: "nkey", kind: kCustom, read: readPublicKey("user"), field: "NKey"},
		{yaml: "proxy_required", conf: "proxy_required", kind: kBool, field: "ProxyRequired"},
	}))
})

var accountScope = sync.OnceValue(accounts)

func accounts() *scope {
	s := newScope("account", "unknown field %q", append(sharingRows(), []*option{
		{yaml: "name", kind: kString, field: "Name"},
		{yaml: "users", conf: "users", kind: kList, item: userScope, field: "Users"},
		{yaml: "default_permissions", conf: "default_permissions", kind: kCustom, read: readPermissions, field: "DefaultPermissions"},
		{yaml: "nkey", conf: "nkey", kind: kCustom, read: readPublicKey("account"), field: "NKey"},
		{yaml: "streams", conf: "jetstream", kind: kLater, text: "streams"},
		{yaml: "msg_trace", conf: "msg_trace/trace_dest", kind: kCustom, read: readTrace, field: "Trace"},
	}...))
	s.byName, s.bare = true, true
	return checked(checkAccount, s)
}

var permissionsScope = sync.OnceValue(func() *scope {
	return newScope("permissions", "Unknown field %q parsing permissions", []*option{
		{yaml: "publish", conf: "publish/pub/import", kind: kCustom, read: readSubjects(false), field: "Publish"},
		{yaml: "subscribe", conf: "subscribe/sub/export", kind: kCustom, read: readSubjects(true), field: "Subscribe"},
		{yaml: "allow_responses", conf: "allow_responses/publish_allow_responses", kind: kCustom, read: readResponses, field: "AllowResponses"},
	})
})

var responsesScope = sync.OnceValue(func() *scope {
	return newScope("allow_responses", "Unknown field %q parsing permissions", []*option{
		{yaml: "max", conf: "max/max_msgs/max_messages/max_responses", kind: kInteger, field: "Max"},
		{yaml: "expires", conf: "expires/expiration/ttl", kind: kStrictDuration, field: "Expires"},
	})
})

// readRoutePermissions reads what routes may import and export.
func readRoutePermissions(d *decoder, path string, v *conf.Value) (any, bool) {
	read, ok := readPermissions(d, path, v)
	if ok && read.(*Permissions).AllowResponses != nil {
		d.errorf(v.Pos, path, "Cluster permissions do not support dynamic responses")
		return nil, false
	}
	return read, ok
}

// refuse is the reader of an option that exists elsewhere but not here.
func refuse(message string) reader {
	return func(d *decoder, path string, v *conf.Value) (any, bool) {
		d.errorf(v.Pos, path, "%s", message)
		return nil, false
	}
}

// tlsRows are the options of a tls block: below a path in the root's table, or
// with empty paths in a scope of its own.
func tlsRows(yaml, conf, field string, in daemons) []*option {
	rows := []*option{
		{yaml: "certificates", conf: "certs/certificates", kind: kCustom, read: readPairs, field: "Certificates"},
		{yaml: "cert", conf: "cert_file", kind: kPath, field: "Certificates[0].CertFile"},
		{yaml: "key", conf: "key_file", kind: kPath, field: "Certificates[0].KeyFile"},
		{yaml: "ca", conf: "ca_file", kind: kPath, field: "CAFile"},
		{yaml: "verify", conf: "verify", kind: kBool, field: "Verify"},
		{yaml: "verify_and_map", conf: "verify_and_map", kind: kBool, field: "VerifyAndMap"},
		{yaml: "check_known_urls", conf: "verify_cert_and_check_known_urls", kind: kBool, field: "CheckKnownURLs"},
		{yaml: "insecure", conf: "insecure", kind: kBool, field: "Insecure"},
		{yaml: "timeout", conf: "timeout", kind: kSeconds, def: DefaultTLSTimeout, field: "Timeout"},
		{yaml: "min_version", conf: "min_version", kind: kCustom, read: readTLSVersion, field: "MinVersion"},
		{yaml: "cipher_suites", conf: "cipher_suites", kind: kCustom, read: readNames("cipher suite", cipherSuite), field: "CipherSuites"},
		{yaml: "curves", conf: "curve_preferences", kind: kCustom, read: readNames("curve", curve), field: "Curves"},
		{yaml: "pinned_certs", conf: "pinned_certs", kind: kCustom, read: readNames("fingerprint", pin), field: "PinnedCerts"},
		{yaml: "connection_rate_limit", conf: "connection_rate_limit", kind: kInteger, field: "ConnectionRateLimit"},
		{yaml: "handshake_first", conf: "handshake_first/first/immediate", kind: kCustom, read: readHandshakeFirst, field: "HandshakeFirst"},
		{yaml: "allow_insecure_cipher_suites", conf: "allow_insecure_cipher_suites", kind: kBool, field: "AllowInsecureCiphers"},
		{yaml: "spiffe", conf: "spiffe", kind: kCustom, read: readSPIFFE, field: "SPIFFE"},
		{yaml: "ocsp_peer", conf: "ocsp_peer", kind: kCustom, read: readOCSPPeer, field: "OCSPPeer"},
		{conf: "cert_store cert_match_by cert_match ca_certs_match cert_match_skip_invalid", kind: kCustom, read: refuse("cert_store not compatible with current operating system")},
	}
	for _, o := range rows {
		o.in = in
		o.yaml = prefix(yaml, o.yaml)
		o.conf = prefix(conf, o.conf)
		if o.field != "" && field != "" {
			o.field = field + "." + o.field
		}
	}
	if yaml == "" {
		return rows
	}
	return append(rows, &option{yaml: yaml, conf: conf, kind: kBlock, in: in, field: field})
}

var pairScope = sync.OnceValue(func() *scope {
	return newScope("certificate", "error parsing tls config, unknown field %q", []*option{
		{yaml: "cert", conf: "cert_file", kind: kPath, field: "CertFile"},
		{yaml: "key", conf: "key_file", kind: kPath, field: "KeyFile"},
	})
})

var policyScope = sync.OnceValue(func() *scope {
	return checked(checkPolicy, newScope("policy", "unknown field %q", []*option{
		{yaml: "account", conf: "account", kind: kString, field: "Account"},
		{yaml: "outgoing", conf: "outgoing", kind: kCustom, read: readPolicy, field: "Outgoing"},
		{yaml: "incoming", conf: "incoming", kind: kCustom, read: readPolicy, field: "Incoming"},
	}))
})

var remoteGatewayScope = sync.OnceValue(func() *scope {
	return checked(checkRemoteGateway, newScope("remote gateway", "unknown field %q", append([]*option{
		{yaml: "name", conf: "name", kind: kString, field: "Name"},
		{yaml: "urls url", conf: "urls/url", kind: kURLs, text: "gateway", field: "URLs"},
	}, tlsRows("tls", "tls", "TLS", 0)...)))
})

var leafUserScope = sync.OnceValue(func() *scope {
	return checked(checkLeafUser, newScope("leaf user", "unknown field %q", []*option{
		{yaml: "name user", conf: "user/username", kind: kString, field: "Name"},
		{yaml: "password", conf: "pass/password", kind: kSecret, field: "Password"},
		{yaml: "account", conf: "account", kind: kCustom, read: readAccount("authorization"), field: "Account"},
		{yaml: "nkey", conf: "nkey", kind: kCustom, read: readPublicKey("user"), field: "NKey"},
		{yaml: "proxy_required", conf: "proxy_required", kind: kBool, field: "ProxyRequired"},
	}))
})

var leafRemoteScope = sync.OnceValue(func() *scope {
	return checked(checkLeafRemote, newScope("upstream", "unknown field %q", append(append([]*option{
		{yaml: "name", conf: "name", kind: kString, field: "Name"},
		{yaml: "urls url", conf: "urls/url", kind: kURLs, text: "leafnode", field: "URLs"},
		{yaml: "user", conf: "user/username", kind: kString, field: "User"},
		{yaml: "password", conf: "pass/password", kind: kSecret, field: "Password"},
		{yaml: "local_account", conf: "account/local", kind: kCustom, read: readAccount("remote"), field: "Account"},
		{yaml: "credentials", conf: "credentials/creds", kind: kUserPath, field: "Credentials"},
		{yaml: "seed", conf: "nkey/seed", kind: kSecret, field: "Seed"},
		{yaml: "hub", conf: "hub", kind: kBool, field: "Hub"},
		{yaml: "deny.imports", conf: "deny_imports/deny_import", kind: kCustom, read: readDenies, field: "DenyImports"},
		{yaml: "deny.exports", conf: "deny_exports/deny_export", kind: kCustom, read: readDenies, field: "DenyExports"},
		{yaml: "order", kind: kCustom, read: readOrder, field: "NoRandomize"},
		{conf: "no_randomize/dont_randomize", kind: kBool, field: "NoRandomize"},
		{yaml: "ignore_discovered", conf: "ignore_discovered_servers", kind: kCustom, read: readChoice, field: "IgnoreDiscovered"},
		{yaml: "isolate", conf: "isolate_leafnode_interest/isolate", kind: kBool, field: "Isolate"},
		{yaml: "request_isolation", conf: "request_isolation", kind: kBool, field: "RequestIsolation"},
		{yaml: "disabled", conf: "disabled", kind: kBool, field: "Disabled"},
		{yaml: "timeouts.first_info", conf: "first_info_timeout", kind: kDuration, field: "FirstInfoTimeout"},
		{yaml: "timeouts.dial", conf: "dial_timeout", kind: kDuration, field: "DialTimeout"},
		{yaml: "timeouts.reconnect_spread", conf: "reconnect_spread", kind: kStrictDuration, field: "ReconnectSpread"},
		{yaml: "compression.mode compression", conf: "compression.mode compression", kind: kCustom, read: readCompression(CompressionS2Auto), field: "Compression.Mode"},
		{yaml: "compression.rtt_thresholds", conf: "compression.rtt_thresholds/thresholds/rtts/rtt", kind: kCustom, read: readThresholds, field: "Compression.RTTThresholds"},
		{conf: "jetstream_cluster_migrate/js_cluster_migrate", kind: kLater, text: "streams"},
	}, webSocketRemoteRows()...), tlsRows("tls", "tls", "TLS", 0)...)))
})

// readChoice is a switch of which it matters whether it was set.
func readChoice(d *decoder, path string, v *conf.Value) (any, bool) {
	switch {
	case v.Kind == conf.Bool && v.Bool:
		return Yes, true
	case v.Kind == conf.Bool:
		return No, true
	}
	d.errorf(v.Pos, path, "want true or false, got %s", v.Describe())
	return nil, false
}

// readOrder: listed keeps the order of the URLs.
func readOrder(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind == conf.String && (v.Str == "listed" || v.Str == "random") {
		return v.Str == "listed", true
	}
	d.errorf(v.Pos, path, "want listed or random, got %s", v.Describe())
	return nil, false
}

// prefix puts a path before each of several.
func prefix(path, names string) string {
	if path == "" || names == "" {
		return names
	}
	out := ""
	for _, n := range strings.Fields(names) {
		if out != "" {
			out += " "
		}
		out += path + "." + n
	}
	return out
}
