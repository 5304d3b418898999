package config

import (
	"slices"
	"strings"
	"sync"
)

// The table of options: one row per setting, for both languages and all
// daemons. A path may occur once. Rows of lists' items are in table_items.go.

// rootScope is made when it is first needed: commands that read no settings do
// without it.
var rootScope = sync.OnceValue(func() *scope {
	return newScope("", "unknown field %q", slices.Concat(
		serverRows(), clientRows(), authRows(), whoisRows(), operatorRows(), clusterRows(), gatewayRows(), borderRows(), leafRows(), webSocketRows(), operateRows(), ocspRows(), laterRows(),
	))
})

const noClients = inHub | inLeaf

func serverRows() []*option {
	return []*option{
		{yaml: "server.name", conf: "server_name", kind: kCustom, read: readName("server name cannot contain spaces"), field: "ServerName", text: "name of this server, unique in the whole super-cluster"},
		{yaml: "server.tags", conf: "server_tags", kind: kStrings, field: "Tags"},
		{yaml: "server.metadata", conf: "server_metadata", kind: kCustom, read: readMetadata, field: "Metadata"},
	}
}

func clientRows() []*option {
	rows := []*option{
		{yaml: "clients.listen", conf: "listen", kind: kListen, in: noClients, text: "address for clients, host:port or a port"},
		{yaml: "clients.host", conf: "host/net", kind: kString, in: noClients, field: "Client.Host"},
		{yaml: "clients.port", conf: "port", kind: kCustom, read: readPort, in: noClients, field: "Client.Port"},
		{yaml: "clients.advertise", conf: "client_advertise", kind: kString, in: noClients, field: "Client.Advertise"},
		{yaml: "listen.allow_lan clients.allow_lan clients.allow_remote", conf: "allow_lan", kind: kBool, in: inLeaf, field: "Client.AllowLAN", text: "let leafd listen on an address that is not loopback"},
		{yaml: "clients.allow_non_tls", conf: "allow_non_tls", kind: kBool, in: noClients, field: "Client.AllowNonTLS"},
		{yaml: "clients.proxy_protocol", conf: "proxy_protocol", kind: kBool, in: noClients, field: "Client.ProxyProtocol"},
		{yaml: "clients.no_headers", conf: "no_header_support", kind: kBool, in: noClients, field: "Client.NoHeaders"},
		{yaml: "clients.limits.max_closed", conf: "max_closed_clients", kind: kCustom, read: atLeast(0), in: noClients, def: DefaultMaxClosedClients, field: "Client.MaxClosed"},
		{yaml: "clients.limits.max_connections", conf: "max_connections/max_conn", kind: kInteger, in: noClients, def: DefaultMaxConnections, field: "Limits.MaxConnections"},
		{yaml: "clients.limits.max_subscriptions", conf: "max_subscriptions/max_subs", kind: kInteger, in: noClients, field: "Limits.MaxSubscriptions"},
		{yaml: "clients.limits.max_subscription_tokens", conf: "max_sub_tokens/max_subscription_tokens", kind: kCustom, read: readSubTokens, in: noClients, field: "Limits.MaxSubscriptionTokens"},
		{yaml: "clients.limits.max_payload limits.max_payload", conf: "max_payload", kind: kCustom, read: readPayload, def: int64(DefaultMaxPayload), field: "Limits.MaxPayload"},
		{yaml: "clients.limits.max_pending limits.max_pending", conf: "max_pending", kind: kSize, def: int64(DefaultMaxPending), field: "Limits.MaxPending"},
		{yaml: "clients.limits.max_control_line limits.max_control_line", conf: "max_control_line", kind: kCustom, read: readControlLine, def: DefaultMaxControlLine, field: "Limits.MaxControlLine"},
		{yaml: "clients.ping.interval ping.interval", conf: "ping_interval", kind: kDuration, def: DefaultPingInterval, field: "Limits.PingInterval"},
		{yaml: "clients.ping.max ping.max", conf: "ping_max", kind: kCustom, read: atLeast(1), def: DefaultPingMax, field: "Limits.PingMax"},
		{yaml: "clients.write.deadline write.deadline", conf: "write_deadline", kind: kDuration, def: DefaultWriteDeadline, field: "Limits.WriteDeadline"},
		{yaml: "clients.write.policy write.policy", conf: "write_timeout", kind: kWord, words: writeWords, def: "default", field: "Limits.WriteTimeout"},
		{yaml: "clients.no_producer_stall", conf: "no_fast_producer_stall", kind: kNone, in: noClients, text: "publishers are never stalled"},
		{conf: "disable_sublist_cache/no_sublist_cache", kind: kNone, text: "the subscription index has no such cache"},
	}
	return append(rows, tlsRows("clients.tls", "tls", "Client.TLS", noClients)...)
}

var writeWords = []string{"default", "close", "retry"}

func authRows() []*option {
	return []*option{
		{conf: "authorization", kind: kBlock, in: noClients},
		{yaml: "auth.user", conf: "authorization.user/username", kind: kString, in: noClients, field: "Auth.User"},
		{yaml: "auth.password", conf: "authorization.pass/password", kind: kSecret, in: noClients, field: "Auth.Password"},
		{yaml: "auth.token", conf: "authorization.token", kind: kSecret, in: noClients, field: "Auth.Token"},
		{yaml: "auth.timeout", conf: "authorization.timeout", kind: kSeconds, in: noClients, field: "Auth.Timeout"},
		{yaml: "auth.users", conf: "authorization.users", kind: kList, item: userScope, in: noClients, field: "Auth.Users"},
		{yaml: "auth.default_permissions", conf: "authorization.default_permissions/default_permission/permissions", kind: kCustom, read: readPermissions, in: noClients, field: "Auth.DefaultPermissions"},
		{yaml: "auth.no_auth_user", conf: "no_auth_user", kind: kString, in: noClients, field: "Auth.NoAuthUser"},
		{yaml: "auth.system_account", conf: "system_account/system", kind: kString, field: "SystemAccount"},
		{yaml: "auth.no_system_account", conf: "no_system_account/no_system/no_sys_acc", kind: kBool, field: "NoSystemAccount"},
		{yaml: "accounts", conf: "accounts", kind: kList, item: accountScope, field: "Accounts"},
	}
}

func clusterRows() []*option {
	const in = inHub | inGw
	rows := []*option{
		{yaml: "cluster", conf: "cluster", kind: kBlock, in: in, field: "Cluster"},
		{yaml: "cluster.name", conf: "cluster.name", kind: kCustom, read: readName("cluster name cannot contain spaces"), in: in, field: "Cluster.Name", text: "name of the cluster, which is the region's name"},
		{yaml: "cluster.listen", conf: "cluster.listen", kind: kListen, in: in, text: "address for routes, host:port or a port"},
		{yaml: "cluster.host", conf: "cluster.host/net", kind: kString, in: in, def: DefaultHost, field: "Cluster.Host"},
		{yaml: "cluster.port", conf: "cluster.port", kind: kCustom, read: readPort, in: in, field: "Cluster.Port"},
		{yaml: "cluster.advertise", conf: "cluster.cluster_advertise/advertise", kind: kString, in: in, field: "Cluster.Advertise"},
		{yaml: "cluster.no_advertise", conf: "cluster.no_advertise", kind: kBool, in: in, field: "Cluster.NoAdvertise"},
		{yaml: "cluster.routes", conf: "cluster.routes", kind: kURLs, text: "route", in: in, field: "Cluster.Routes"},
		{yaml: "cluster.pool_size", conf: "cluster.pool_size", kind: kCustom, read: atLeast(-1), in: in, def: DefaultPoolSize, field: "Cluster.PoolSize"},
		{yaml: "cluster.pinned_accounts", conf: "cluster.accounts", kind: kStrings, in: in, field: "Cluster.Accounts"},
		{yaml: "cluster.connect.retries", conf: "cluster.connect_retries", kind: kInteger, in: in, field: "Cluster.ConnectRetries"},
		{yaml: "cluster.connect.backoff", conf: "cluster.connect_backoff", kind: kBool, in: in, field: "Cluster.ConnectBackoff"},
		{yaml: "cluster.ping.interval", conf: "cluster.ping_interval", kind: kDuration, in: in, field: "Cluster.PingInterval"},
		{yaml: "cluster.ping.max", conf: "cluster.ping_max", kind: kCustom, read: atLeast(1), in: in, field: "Cluster.PingMax"},
		{yaml: "cluster.permissions", conf: "cluster.permissions cluster.authorization.permissions", kind: kCustom, read: readRoutePermissions, in: inHub, field: "Cluster.Permissions"},
	}
	rows = append(rows, linkAuthRows("cluster", "Cluster", in)...)
	rows = append(rows, writeRows("cluster", "cluster", "Cluster", in)...)
	rows = append(rows, compressionRows("cluster", "cluster", "Cluster", CompressionAccept, CompressionS2Fast, in)...)
	return append(rows, tlsRows("cluster.tls", "cluster.tls", "Cluster.TLS", in)...)
}

// linkAuthRows: in YAML user and password stand in the block itself; the .conf
// block "authorization" has more keys, which routes and gateways refuse.
func linkAuthRows(block, field string, in daemons) []*option {
	title := strings.ToUpper(block[:1]) + block[1:]
	return []*option{
		{conf: block + ".authorization", kind: kBlock, in: in},
		{yaml: block + ".user", conf: block + ".authorization.user/username", kind: kString, in: in, field: field + ".Auth.User"},
		{yaml: block + ".password", conf: block + ".authorization.pass/password", kind: kSecret, in: in, field: field + ".Auth.Password"},
		{yaml: block + ".auth_timeout", conf: block + ".authorization.timeout", kind: kSeconds, in: in, field: field + ".Auth.Timeout"},
		{conf: block + ".authorization.users", kind: kCustom, read: refuse(title + " authorization does not allow multiple users"), in: in},
		{conf: block + ".authorization.token", kind: kCustom, read: refuse(title + " authorization does not support tokens"), in: in},
		{conf: block + ".authorization.auth_callout/auth_hook", kind: kCustom, read: refuse(title + " authorization does not support callouts"), in: in},
	}
}

func writeRows(yaml, conf, field string, in daemons) []*option {
	return []*option{
		{yaml: yaml + ".write.deadline", conf: conf + ".write_deadline", kind: kDuration, in: in, field: field + ".WriteDeadline"},
		{yaml: yaml + ".write.policy", conf: conf + ".write_timeout", kind: kWord, words: writeWords, def: "default", in: in, field: field + ".WriteTimeout"},
	}
}

// compressionRows: "compression" alone is the mode.
func compressionRows(yaml, conf, field string, mode, on CompressionMode, in daemons) []*option {
	return []*option{
		{yaml: yaml + ".compression.mode " + yaml + ".compression", conf: conf + ".compression.mode " + conf + ".compression", kind: kCustom,
			read: readCompression(on), in: in, def: mode, field: field + ".Compression.Mode"},
		{yaml: yaml + ".compression.rtt_thresholds", conf: conf + ".compression.rtt_thresholds/thresholds/rtts/rtt", kind: kCustom,
			read: readThresholds, in: in, field: field + ".Compression.RTTThresholds"},
	}
}

func gatewayRows() []*option {
	const in = inHub | inGw
	rows := []*option{
		{yaml: "gateway", conf: "gateway", kind: kBlock, in: in, field: "Gateway"},
		{yaml: "gateway.name", conf: "gateway.name", kind: kCustom, read: readName("gateway name cannot contain spaces"), in: in, field: "Gateway.Name"},
		{yaml: "gateway.listen", conf: "gateway.listen", kind: kListen, in: in, text: "address for other regions' gateways, host:port or a port"},
		{yaml: "gateway.host", conf: "gateway.host/net", kind: kString, in: in, def: DefaultHost, field: "Gateway.Host"},
		{yaml: "gateway.port", conf: "gateway.port", kind: kCustom, read: readPort, in: in, field: "Gateway.Port"},
		{yaml: "gateway.advertise", conf: "gateway.advertise", kind: kString, in: in, field: "Gateway.Advertise"},
		{yaml: "gateway.reject_unknown", conf: "gateway.reject_unknown_cluster/reject_unknown", kind: kBool, in: in, field: "Gateway.RejectUnknown"},
		{yaml: "gateway.connect.retries", conf: "gateway.connect_retries", kind: kInteger, in: in, field: "Gateway.ConnectRetries"},
		{yaml: "gateway.connect.backoff", conf: "gateway.connect_backoff", kind: kBool, in: in, field: "Gateway.ConnectBackoff"},
		{yaml: "gateway.remotes", conf: "gateway.gateways", kind: kList, item: remoteGatewayScope, in: in, field: "Gateway.Remotes"},
	}
	rows = append(rows, linkAuthRows("gateway", "Gateway", in)...)
	rows = append(rows, writeRows("gateway", "gateway", "Gateway", in)...)
	return append(rows, tlsRows("gateway.tls", "gateway.tls", "Gateway.TLS", in)...)
}

func borderRows() []*option {
	return []*option{
		{yaml: "border", conf: "border", kind: kBlock, in: inGw},
		{yaml: "border.mode", conf: "border.mode", kind: kWord, words: []string{"multi", "single_owner"}, def: "multi", in: inGw, field: "Border.Mode"},
		{yaml: "border.priority", conf: "border.priority", kind: kInteger, in: inGw, field: "Border.Priority"},
		{yaml: "border.policies", conf: "border.policies", kind: kList, item: policyScope, in: inGw, field: "Border.Policies"},
		{yaml: "border.ready_timeout", conf: "border.ready_timeout", kind: kStrictDuration, def: DefaultBorderReadyTimeout, in: inGw, field: "Border.ReadyTimeout"},
		{yaml: "border.missing_hub", conf: "border.missing_hub", kind: kStrictDuration, def: DefaultBorderMissingHub, in: inGw, field: "Border.MissingHub"},
		{yaml: "border.close_spacing", conf: "border.close_spacing", kind: kStrictDuration, def: DefaultBorderCloseSpacing, in: inGw, field: "Border.CloseSpacing"},
		{yaml: "border.fence_timeout", conf: "border.fence_timeout", kind: kStrictDuration, def: DefaultBorderFence, in: inGw, field: "Border.FenceTimeout"},
		{yaml: "border.ping.interval", conf: "border.ping_interval", kind: kStrictDuration, def: DefaultBorderPingInterval, in: inGw, field: "Border.PingInterval"},
		{yaml: "border.ping.max", conf: "border.ping_max", kind: kCustom, read: atLeast(1), def: DefaultBorderPingMax, in: inGw, field: "Border.PingMax"},
	}
}

func leafRows() []*option {
	const in = inHub | inLeaf
	leaf := func(names string) string { return "leafnodes/leaf." + names }
	rows := []*option{
		{yaml: "leafs", conf: "leafnodes/leaf", kind: kBlock, in: in, field: "LeafNodes"},
		{yaml: "leafs.listen", conf: leaf("listen"), kind: kListen, in: in, text: "address for leaf nodes, host:port or a port"},
		{yaml: "leafs.host", conf: leaf("host/net"), kind: kString, in: in, def: DefaultHost, field: "LeafNodes.Host"},
		{yaml: "leafs.port", conf: leaf("port"), kind: kCustom, read: readPort, in: in, field: "LeafNodes.Port"},
		{yaml: "leafs.advertise", conf: leaf("advertise/leafnode_advertise"), kind: kString, in: in, field: "LeafNodes.Advertise"},
		{yaml: "leafs.no_advertise", conf: leaf("no_advertise"), kind: kBool, in: in, field: "LeafNodes.NoAdvertise"},
		{conf: leaf("authorization"), kind: kBlock, in: in},
		{yaml: "leafs.user", conf: leaf("authorization.user/username"), kind: kString, in: in, field: "LeafNodes.Auth.User"},
		{yaml: "leafs.password", conf: leaf("authorization.pass/password"), kind: kSecret, in: in, field: "LeafNodes.Auth.Password"},
		{yaml: "leafs.account", conf: leaf("authorization.account"), kind: kCustom, read: readAccount("authorization"), in: in, field: "LeafNodes.Auth.Account"},
		{yaml: "leafs.auth_timeout", conf: leaf("authorization.timeout"), kind: kSeconds, in: in, field: "LeafNodes.Auth.Timeout"},
		{yaml: "leafs.users", conf: leaf("authorization.users"), kind: kList, item: leafUserScope, in: in, field: "LeafNodes.Auth.Users"},
		{yaml: "leafs.nkey", conf: leaf("authorization.nkey"), kind: kCustom, read: readPublicKey("user"), in: in, field: "LeafNodes.Auth.NKey", text: "public key that leaf nodes prove to have"},
		{yaml: "leafs.proxy_required", conf: leaf("authorization.proxy_required"), kind: kBool, in: in, field: "LeafNodes.Auth.ProxyRequired"},
		{yaml: "leafs.min_version", conf: leaf("min_version/minimum_version"), kind: kCustom, read: readMinVersion, in: in, field: "LeafNodes.MinVersion"},
		{yaml: "leafs.isolate", conf: leaf("isolate_leafnode_interest/isolate"), kind: kBool, in: in, field: "LeafNodes.Isolate"},
		{yaml: "leafs.ping.interval", conf: leaf("ping_interval"), kind: kStrictDuration, in: in, field: "LeafNodes.PingInterval"},
		{yaml: "leafs.ping.max", conf: leaf("ping_max"), kind: kCustom, read: atLeast(1), in: in, field: "LeafNodes.PingMax"},
		{yaml: "leafs.timeouts.reconnect", conf: leaf("reconnect/reconnect_delay/reconnect_interval"), kind: kDuration, in: in, def: DefaultLeafReconnect, field: "LeafNodes.Reconnect"},
		{yaml: "leafs.timeouts.reconnect_spread", conf: leaf("reconnect_spread"), kind: kStrictDuration, in: in, def: DefaultLeafReconnectSpread, field: "LeafNodes.ReconnectSpread"},
		{yaml: "leafs.timeouts.reconnect_max", conf: leaf("reconnect_max"), kind: kStrictDuration, in: in, def: DefaultLeafReconnectMax, field: "LeafNodes.ReconnectMax"},
		{yaml: "leafs.timeouts.dial", conf: leaf("dial_timeout"), kind: kDuration, in: in, def: DefaultLeafDialTimeout, field: "LeafNodes.DialTimeout"},
		{yaml: "leafs.timeouts.handshake", conf: leaf("handshake_timeout"), kind: kStrictDuration, in: in, def: DefaultLeafHandshakeTimeout, field: "LeafNodes.HandshakeTimeout"},
		{yaml: "upstreams", conf: leaf("remotes"), kind: kList, item: leafRemoteScope, in: in, field: "LeafNodes.Remotes"},
	}
	rows = append(rows, writeRows("leafs", "leafnodes/leaf", "LeafNodes", in)...)
	rows = append(rows, compressionRows("leafs", "leafnodes/leaf", "LeafNodes", CompressionS2Auto, CompressionS2Auto, in)...)
	return append(rows, tlsRows("leafs.tls", "leafnodes/leaf.tls", "LeafNodes.TLS", in)...)
}

func operateRows() []*option {
	return []*option{
		{yaml: "monitor.listen", conf: "http", kind: kListen, text: "address for monitoring over HTTP, host:port or a port"},
		{yaml: "monitor.host", conf: "http_host", kind: kString, field: "HTTP.Host"},
		{yaml: "monitor.port", conf: "http_port/monitor_port", kind: kCustom, read: readPort, field: "HTTP.Port"},
		{yaml: "monitor.base_path", conf: "http_base_path", kind: kString, field: "HTTP.BasePath"},
		{yaml: "monitor.tls", kind: kBool, field: "HTTP.TLS"},
		{yaml: "monitor.https.listen", conf: "https", kind: kListen, text: "address for monitoring over HTTPS, host:port or a port"},
		{yaml: "monitor.https.host", conf: "https_host", kind: kString, field: "HTTP.HTTPS.Host"},
		{yaml: "monitor.https.port", conf: "https_port", kind: kCustom, read: readPort, field: "HTTP.HTTPS.Port"},
		{yaml: "monitor.auth.token", conf: "monitor_token", kind: kSecret, field: "HTTP.Token"},
		{yaml: "monitor.auth.ca_file", conf: "monitor_ca_file", kind: kString, field: "HTTP.ClientCA"},
		{yaml: "monitor.console", conf: "monitor_console", kind: kWord, words: []string{"auto", "on", "off"}, def: "auto", field: "HTTP.Console", text: "the page for people at /ui: auto, on or off"},
		{conf: "metrics", kind: kBlock},
		{yaml: "monitor.metrics.enabled", conf: "metrics.enabled", kind: kBool, def: true, field: "HTTP.Metrics.Enabled"},
		{yaml: "monitor.metrics.path", conf: "metrics.path", kind: kString, def: DefaultMetricsPath, field: "HTTP.Metrics.Path"},
		{yaml: "monitor.metrics.per_account", conf: "metrics.per_account", kind: kBool, def: true, field: "HTTP.Metrics.PerAccount"},
		{yaml: "monitor.metrics.max_series", conf: "metrics.max_series", kind: kCustom, read: atLeast(1), def: DefaultMetricsSeries, field: "HTTP.Metrics.MaxSeries"},
		{yaml: "monitor.metrics.compat", conf: "metrics.compat", kind: kWord, words: []string{"off", "exporter", "gnatsd"}, field: "HTTP.Metrics.Compat"},

		{yaml: "log.level", kind: kLevel, words: []string{"info", "debug", "trace"}, text: "info, debug or trace"},
		{yaml: "log.debug", conf: "debug", kind: kBool, field: "Log.Debug"},
		{yaml: "log.trace", conf: "trace", kind: kBool, field: "Log.Trace"},
		{yaml: "log.trace_verbose", conf: "trace_verbose", kind: kBool, field: "Log.TraceVerbose"},
		{yaml: "log.trace_headers", conf: "trace_headers", kind: kBool, field: "Log.TraceHeaders"},
		{yaml: "log.format", conf: "log_format", kind: kWord, words: []string{"text", "json"}, def: "text", field: "Log.Format", text: "text or json"},
		{yaml: "log.file", conf: "log_file/logfile", kind: kPath, field: "Log.File", text: "log to this file instead of stderr"},
		{yaml: "log.time", conf: "logtime", kind: kBool, def: true, field: "Log.Time"},
		{yaml: "log.utc", conf: "logtime_utc", kind: kBool, field: "Log.UTC"},
		{yaml: "log.max_size", conf: "log_size_limit/logfile_size_limit", kind: kSize, def: int64(0), field: "Log.SizeLimit"},
		{yaml: "log.max_files", conf: "log_max_num/logfile_max_num", kind: kInteger, field: "Log.MaxFiles"},
		{yaml: "log.max_traced", conf: "max_traced_msg_len", kind: kInteger, field: "Log.MaxTracedMsgLen"},
		{yaml: "log.syslog", conf: "syslog", kind: kBool, field: "Log.Syslog"},
		{yaml: "log.remote_syslog", conf: "remote_syslog", kind: kCustom, read: readSyslog, field: "Log.RemoteSyslog"},

		{yaml: "lifecycle.pid_file", conf: "pid_file/pidfile", kind: kPath, field: "PidFile"},
		{yaml: "lifecycle.ports_dir", conf: "ports_file_dir", kind: kPath, field: "PortsFileDir"},
		{yaml: "lifecycle.drain", conf: "lame_duck_duration", kind: kStrictDuration, def: DefaultLameDuckDuration, field: "LameDuck.Duration"},
		{yaml: "lifecycle.drain_grace", conf: "lame_duck_grace_period", kind: kStrictDuration, def: DefaultLameDuckGrace, field: "LameDuck.Grace"},
		{yaml: "lifecycle.drain_on_term", conf: "lame_duck_on_term", kind: kBool, field: "LameDuck.OnTerm"},
		{yaml: "reload.watch", conf: "reload.watch", kind: kBool, field: "Reload.Watch"},
		{yaml: "profiling.port", conf: "prof_port", kind: kCustom, read: readPort, field: "ProfPort"},
		{yaml: "profiling.block_rate", conf: "prof_block_rate", kind: kCustom, read: atLeast(0), field: "ProfBlockRate"},

		{yaml: "connect_error_reports", conf: "connect_error_reports", kind: kInteger, def: DefaultConnectErrorReports, field: "ConnectErrorReports"},
		{yaml: "reconnect_error_reports", conf: "reconnect_error_reports", kind: kInteger, def: DefaultReconnectErrorReports, field: "ReconnectErrorReports"},
	}
}

func laterRows() []*option {
	return []*option{
		{yaml: "streams", conf: "jetstream", kind: kLater, text: "streams"},
		{yaml: "store", conf: "store", kind: kLater, text: "streams"},
		{conf: "store_dir/storedir", kind: kLater, text: "streams"},
		{conf: "default_js_domain", kind: kLater, text: "streams"},
		{yaml: "mqtt", conf: "mqtt", kind: kLater, text: "MQTT clients"},
		{yaml: "mappings", conf: "mappings/maps", kind: kCustom, read: readMappings, in: noClients, field: "Mappings"},
		{conf: "feature_flags", kind: kLater, text: "streams"},
	}
}
