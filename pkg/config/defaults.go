package config

import "time"

// Defaults that other packages name or tests compare with.
const (
	DefaultPort              = 4222
	DefaultHost              = "0.0.0.0"
	DefaultLeafdHost         = "127.0.0.1"
	DefaultRoutePort         = 6222 // of route URLs without a port
	DefaultGatewayPort       = 7222 // of gateway URLs without a port
	DefaultLeafPort          = 7422 // of leaf URLs without a port
	DefaultMaxConnections    = 65536
	DefaultMaxPayload        = 1 << 20
	DefaultMaxPending        = 64 << 20
	DefaultMaxControlLine    = 4096
	DefaultMaxClosedClients  = 10000
	DefaultPingInterval      = 2 * time.Minute
	DefaultPingMax           = 2
	DefaultWriteDeadline     = 10 * time.Second
	DefaultAuthTimeout       = 2 * time.Second
	DefaultTLSTimeout        = 2 * time.Second
	DefaultHandshakeFallback = 50 * time.Millisecond
	DefaultPoolSize          = 3
	// MaxRoutePingInterval caps the ping interval of routes.
	MaxRoutePingInterval = 30 * time.Second

	DefaultLameDuckDuration = 2 * time.Minute
	DefaultLameDuckGrace    = 10 * time.Second
	minLameDuckDuration     = 30 * time.Second

	DefaultLeafReconnect        = time.Second
	DefaultLeafReconnectSpread  = 5 * time.Second
	DefaultLeafReconnectMax     = 60 * time.Second
	DefaultLeafDialTimeout      = time.Second
	DefaultLeafFirstInfo        = time.Second
	DefaultLeafHandshakeTimeout = 10 * time.Second
	// DefaultLeafdPing keeps NAT tables and half-open links in sight at the edge.
	DefaultLeafdPing = 25 * time.Second

	DefaultConnectErrorReports   = 3600
	DefaultReconnectErrorReports = 1

	DefaultMetricsPath   = "/metrics"
	DefaultMetricsSeries = 1000

	DefaultBorderReadyTimeout = 5 * time.Second
	DefaultBorderMissingHub   = 5 * time.Second
	DefaultBorderCloseSpacing = 2 * time.Second
	DefaultBorderFence        = 200 * time.Millisecond
	DefaultBorderPingInterval = 2 * time.Second
	DefaultBorderPingMax      = 2
)

// DefaultSystemDeny is what a border keeps from crossing, in both directions,
// in the system account: the subjects by which servers control streams, which
// would be answered by the leaders of two regions.
func DefaultSystemDeny() []string { return []string{"$NRG.>", "$JSC.>", "$JS.API.>"} }

func defaultThresholds() []time.Duration {
	return []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond}
}
