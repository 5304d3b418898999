package wire

// SubjectPermission is an allow and a deny list as INFO carries them.
type SubjectPermission struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
}

// Values of RouteInfo.GossipMode (cluster-routes 9.2).
const (
	GossipDefault  = 0
	GossipDisabled = 1
	GossipOverride = 2
)

// Roles of processes on routes.
const (
	RoleHub     = "hub"
	RoleGateway = "gwd"
)

// BorderOrigin stands where interest of other regions has its origin on routes of a hub
// (gateways 18.5). No leaf cluster may be called so.
const BorderOrigin = "$GW"

// Capabilities in x_caps. A verb or habit of our own is used only towards a peer that
// announced the capability: reference servers close on an unknown verb.
const (
	CapTargetedMsg = "gmsg"   // understands GMSG
	CapFence       = "gfence" // understands GFENCE
	CapSole        = "sole"   // a border message that went nowhere else may be answered with 503
)

// RemoteCluster is one entry of x_remotes: a region that a gwd has an outbound
// connection to, with its distance.
type RemoteCluster struct {
	Name string `json:"name"`
	RTT  int64  `json:"rtt_us"` // microseconds
}

// RouteInfo is INFO on routes (cluster-routes 4.1): the first one of each side, gossip about a
// third server, and changes later. Those that speak of one matter only carry zero
// values in the always-present keys.
type RouteInfo struct {
	ServerID       string             `json:"server_id"`
	ServerName     string             `json:"server_name"`
	Version        string             `json:"version"`
	Proto          int                `json:"proto"`
	GitCommit      string             `json:"git_commit,omitempty"`
	Go             string             `json:"go"`
	Host           string             `json:"host"`
	Port           int                `json:"port"`
	Headers        bool               `json:"headers"`
	AuthRequired   bool               `json:"auth_required,omitempty"`
	TLSRequired    bool               `json:"tls_required,omitempty"`
	TLSVerify      bool               `json:"tls_verify,omitempty"`
	MaxPayload     int32              `json:"max_payload"`
	JetStream      bool               `json:"jetstream,omitempty"`
	IP             string             `json:"ip,omitempty"`
	Nonce          string             `json:"nonce,omitempty"`
	Cluster        string             `json:"cluster,omitempty"`
	ClusterDynamic bool               `json:"cluster_dynamic,omitempty"`
	Domain         string             `json:"domain,omitempty"`
	ConnectURLs    []string           `json:"connect_urls,omitempty"`
	WSConnectURLs  []string           `json:"ws_connect_urls,omitempty"`
	LameDuck       bool               `json:"ldm,omitempty"`
	Compression    string             `json:"compression,omitempty"`
	Import         *SubjectPermission `json:"import,omitempty"`
	Export         *SubjectPermission `json:"export,omitempty"`
	LeafOrigin     bool               `json:"lnoc,omitempty"`  // LS+ with origin understood
	LeafOriginDel  bool               `json:"lnocu,omitempty"` // LS- with origin understood, and sent to those who say the same
	PoolSize       int                `json:"route_pool_size,omitempty"`
	PoolIndex      int                `json:"route_pool_idx,omitempty"`
	RouteAccount   string             `json:"route_account,omitempty"`
	AccountMoveID  string             `json:"route_acc_add_reqid,omitempty"`
	GossipMode     int                `json:"gossip_mode,omitempty"`
	Gateway        string             `json:"gateway,omitempty"`
	GatewayURLs    []string           `json:"gateway_urls,omitempty"`
	GatewayURL     string             `json:"gateway_url,omitempty"`
	GatewayCmd     int                `json:"gateway_cmd,omitempty"`
	LeafURLs       []string           `json:"leafnode_urls,omitempty"`

	// ClientID is never sent here. A dialer that reads it has reached a client or leaf port.
	ClientID uint64 `json:"client_id,omitempty"`

	Banyan  string          `json:"x_banyan,omitempty"`  // version of our own
	Role    string          `json:"x_role,omitempty"`    // RoleHub, RoleGateway, "" for reference servers
	Caps    []string        `json:"x_caps,omitempty"`    // Cap constants
	Remotes []RemoteCluster `json:"x_remotes,omitempty"` // gwd to gwd: regions within reach
}

// RouteConnect is CONNECT on routes, dialer to acceptor (cluster-routes 4.2).
type RouteConnect struct {
	Echo           bool   `json:"echo"`
	Verbose        bool   `json:"verbose"`
	Pedantic       bool   `json:"pedantic"`
	User           string `json:"user,omitempty"`
	Pass           string `json:"pass,omitempty"`
	TLSRequired    bool   `json:"tls_required"`
	Headers        bool   `json:"headers"`
	Name           string `json:"name"` // server id of the dialer, not its name
	Cluster        string `json:"cluster"`
	ClusterDynamic bool   `json:"cluster_dynamic,omitempty"`
	LeafOrigin     bool   `json:"lnoc,omitempty"`
	LeafOriginDel  bool   `json:"lnocu,omitempty"`

	Gateway string `json:"gateway,omitempty"` // must be absent; names a gateway on the wrong port
	Lang    string `json:"lang,omitempty"`    // must be absent; marks a client on the wrong port

	Role string   `json:"x_role,omitempty"`
	Caps []string `json:"x_caps,omitempty"`
}
