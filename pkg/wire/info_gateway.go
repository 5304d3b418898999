package wire

// Values of GatewayInfo.Cmd.
const (
	GatewayCmdGossip           = 1 // announces another cluster
	GatewayCmdAllInterestStart = 2 // the plain interest of an account follows
	GatewayCmdAllInterestEnd   = 3 // and was complete
)

// GatewayInfo is INFO on gateway connections (gateways 4.3). Command INFOs carry zero
// values in the identity keys; a receiver must not take that for a change.
type GatewayInfo struct {
	ServerID         string   `json:"server_id"`
	ServerName       string   `json:"server_name"`
	Version          string   `json:"version"`
	Proto            int      `json:"proto"`
	GitCommit        string   `json:"git_commit,omitempty"`
	Go               string   `json:"go"` // always empty here
	Host             string   `json:"host"`
	Port             int      `json:"port"`
	Headers          bool     `json:"headers"`
	AuthRequired     bool     `json:"auth_required,omitempty"`
	TLSRequired      bool     `json:"tls_required,omitempty"`
	TLSVerify        bool     `json:"tls_verify,omitempty"`
	MaxPayload       int32    `json:"max_payload"`
	LameDuck         bool     `json:"ldm,omitempty"`
	Gateway          string   `json:"gateway,omitempty"` // sender's cluster; in gossip the announced one
	GatewayURLs      []string `json:"gateway_urls,omitempty"`
	GatewayURL       string   `json:"gateway_url,omitempty"`
	Cmd              int      `json:"gateway_cmd,omitempty"`
	CmdPayload       []byte   `json:"gateway_cmd_payload,omitempty"` // account name, base64 on the wire
	NewReplyPrefix   bool     `json:"gateway_nrp,omitempty"`         // understands _GR_.
	InterestOnlyMode bool     `json:"gateway_iom,omitempty"`         // never send optimistically to me

	// ClientID is never sent here. A dialer that reads it has reached a client or leaf port.
	ClientID uint64 `json:"client_id,omitempty"`

	Banyan string   `json:"x_banyan,omitempty"` // version of our own
	Role   string   `json:"x_role,omitempty"`
	Caps   []string `json:"x_caps,omitempty"`
	Move   bool     `json:"x_move,omitempty"` // open a second outbound to another URL, then leave this one
}

// GatewayConnect is CONNECT on gateway connections (gateways 4.4). Headers is false on the
// wire although headers are understood; INFO counts.
type GatewayConnect struct {
	Echo        bool   `json:"echo"`
	Verbose     bool   `json:"verbose"`
	Pedantic    bool   `json:"pedantic"`
	User        string `json:"user,omitempty"`
	Pass        string `json:"pass,omitempty"`
	TLSRequired bool   `json:"tls_required"`
	Headers     bool   `json:"headers"`
	Name        string `json:"name"` // server id of the dialer
	Cluster     string `json:"cluster"`
	Gateway     string `json:"gateway,omitempty"` // absent: a client or a route on the wrong port

	Lang string `json:"lang,omitempty"` // never sent; marks a client on the wrong port

	Role string   `json:"x_role,omitempty"`
	Caps []string `json:"x_caps,omitempty"`
}
