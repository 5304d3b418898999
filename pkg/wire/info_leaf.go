package wire

// HubHints is x_hubd in INFO of a leaf link: what our hub tells our leafd
// (leafnodes 21.4, 21.6). Absent from reference hubs.
type HubHints struct {
	Banyan       string   `json:"version,omitempty"`
	Caps         []string `json:"caps,omitempty"`
	RetryAfterMS int64    `json:"retry_after_ms,omitempty"` // come back no sooner
	SpreadMS     int64    `json:"spread_ms,omitempty"`      // and spread over this time
	MoveMS       int64    `json:"move_ms,omitempty"`        // go to another hub of the cluster now: this link will be ended after so long
	TimeMS       int64    `json:"time_ms,omitempty"`        // hub's wall clock, Unix milliseconds
}

// LeafHints is x_leafd in CONNECT of a leaf link: what our leafd tells our hub.
type LeafHints struct {
	Banyan string   `json:"version,omitempty"`
	Caps   []string `json:"caps,omitempty"`
}

// LeafInfo is INFO on leaf links, from the accepting side and, while compression is negotiated,
// from the soliciting side (leafnodes 4.1, 7).
type LeafInfo struct {
	ServerID      string             `json:"server_id"`
	ServerName    string             `json:"server_name"`
	Version       string             `json:"version"`
	Proto         int                `json:"proto"`
	GitCommit     string             `json:"git_commit,omitempty"`
	Go            string             `json:"go"`
	Host          string             `json:"host"`
	Port          int                `json:"port"`
	Headers       bool               `json:"headers"`
	AuthRequired  bool               `json:"auth_required,omitempty"`
	TLSRequired   bool               `json:"tls_required,omitempty"`
	TLSVerify     bool               `json:"tls_verify,omitempty"`
	MaxPayload    int32              `json:"max_payload"`
	JetStream     bool               `json:"jetstream,omitempty"`
	IP            string             `json:"ip,omitempty"`
	ClientID      uint64             `json:"client_id,omitempty"` // > 0 in the first INFO
	Nonce         string             `json:"nonce,omitempty"`     // always in the first INFO
	Cluster       string             `json:"cluster,omitempty"`
	Domain        string             `json:"domain,omitempty"`
	WSConnectURLs []string           `json:"ws_connect_urls,omitempty"`
	Compression   string             `json:"compression,omitempty"`
	InfoOnConnect bool               `json:"info_on_connect,omitempty"` // a second INFO will answer CONNECT
	ConnectInfo   bool               `json:"connect_info,omitempty"`    // this is it
	RemoteAccount string             `json:"remote_account,omitempty"`
	AccountIsSys  bool               `json:"acc_is_sys,omitempty"`
	Import        *SubjectPermission `json:"import,omitempty"` // what the leaf may receive
	Export        *SubjectPermission `json:"export,omitempty"` // what the leaf may send
	LeafURLs      []string           `json:"leafnode_urls,omitempty"`
	APILevel      int                `json:"api_lvl,omitempty"`

	// Read only, to tell a wrong port.
	ConnectURLs []string `json:"connect_urls,omitempty"`
	Gateway     string   `json:"gateway,omitempty"`

	Banyan string    `json:"x_banyan,omitempty"` // version of our own
	Hub    *HubHints `json:"x_hubd,omitempty"`
}

// WrongPort reports whether a first INFO can't come from a leaf listener. An INFO
// without leafnode_urls passes when it promises the second INFO: newer hubs
// with no_advertise send that.
func (i *LeafInfo) WrongPort() bool {
	return i.ClientID == 0 || (len(i.LeafURLs) == 0 && !i.InfoOnConnect)
}

// LeafConnect is CONNECT on leaf links (leafnodes 4.2).
type LeafConnect struct {
	Version       string   `json:"version,omitempty"`
	NKey          string   `json:"nkey,omitempty"`
	JWT           string   `json:"jwt,omitempty"`
	Sig           string   `json:"sig,omitempty"` // base64 of the nonce's signature
	User          string   `json:"user,omitempty"`
	Pass          string   `json:"pass,omitempty"`
	Token         string   `json:"auth_token,omitempty"`
	ServerID      string   `json:"server_id,omitempty"`
	Name          string   `json:"name,omitempty"`
	Cluster       string   `json:"cluster,omitempty"`
	Domain        string   `json:"domain,omitempty"`
	Hub           bool     `json:"is_hub,omitempty"` // the acceptor becomes the spoke
	Headers       bool     `json:"headers,omitempty"`
	JetStream     bool     `json:"jetstream,omitempty"`
	DenyPub       []string `json:"deny_pub,omitempty"` // do not send me these
	Isolate       bool     `json:"isolate,omitempty"`
	CompressMode  string   `json:"compress_mode,omitempty"`
	RemoteAccount string   `json:"remote_account,omitempty"` // name of the dialer's local account
	Proto         int      `json:"protocol,omitempty"`
	ProxySig      string   `json:"proxy_sig,omitempty"`

	Gateway string `json:"gateway,omitempty"` // must be absent
	Lang    string `json:"lang,omitempty"`    // must be absent; marks a client on the wrong port

	Leaf *LeafHints `json:"x_leafd,omitempty"`
}
