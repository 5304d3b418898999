package system

import (
	"time"

	"github.com/nats-io/nuid"

	"github.com/banyanmq/banyan/pkg/monitor"
)

// ServerInfo heads what a server says (monitoring-events 11.1).
type ServerInfo struct {
	Name      string            `json:"name"`
	Host      string            `json:"host"`
	ID        string            `json:"id"`
	Cluster   string            `json:"cluster,omitempty"`
	Domain    string            `json:"domain,omitempty"`
	Version   string            `json:"ver"`
	Tags      []string          `json:"tags,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	JetStream bool              `json:"jetstream"`
	Flags     uint64            `json:"flags"`
	// Seq grows with each message of a server, whatever its subject.
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
}

// head begins a typed event.
type head struct {
	Type string    `json:"type"`
	ID   string    `json:"id"`
	Time time.Time `json:"timestamp"`
}

func newHead(kind string) head { return head{Type: kind, ID: nuid.Next(), Time: time.Now().UTC()} }

// Types of events.
const (
	typeConnect    = "io.nats.server.advisory.v1.client_connect"
	typeDisconnect = "io.nats.server.advisory.v1.client_disconnect"
	typeConns      = "io.nats.server.advisory.v1.account_connections"
)

// ClientInfo is a connection in an event.
type ClientInfo struct {
	Start   *time.Time    `json:"start,omitempty"`
	Host    string        `json:"host,omitempty"`
	ID      uint64        `json:"id,omitempty"`
	Account string        `json:"acc,omitempty"`
	User    string        `json:"user,omitempty"`
	Name    string        `json:"name,omitempty"`
	Lang    string        `json:"lang,omitempty"`
	Version string        `json:"ver,omitempty"`
	RTT     time.Duration `json:"rtt,omitempty"`
	Stop    *time.Time    `json:"stop,omitempty"`
	// Of a user of an operator's account. The JWT of a bearer is redacted.
	JWT      string   `json:"jwt,omitempty"`
	Issuer   string   `json:"issuer_key,omitempty"`
	NameTag  string   `json:"name_tag,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	Kind     string   `json:"kind,omitempty"`
	Type     string   `json:"client_type,omitempty"`
	ClientID string   `json:"client_id,omitempty"`
}

type connectEvent struct {
	head
	Server ServerInfo `json:"server"`
	Client ClientInfo `json:"client"`
}

// disconnectEvent counts from the client's point of view: Sent is what the server
// received.
type disconnectEvent struct {
	head
	Server   ServerInfo     `json:"server"`
	Client   ClientInfo     `json:"client"`
	Sent     monitor.Volume `json:"sent"`
	Received monitor.Volume `json:"received"`
	Reason   string         `json:"reason"`
}

type connsEvent struct {
	head
	Server ServerInfo `json:"server"`
	monitor.AccountStat
}

type statszMsg struct {
	Server ServerInfo      `json:"server"`
	Stats  *monitor.Statsz `json:"statsz"`
}

// reply is the envelope of answers.
type reply struct {
	Server ServerInfo  `json:"server"`
	Data   any         `json:"data,omitempty"`
	Error  *replyError `json:"error,omitempty"`
}

type replyError struct {
	Code        int    `json:"code"`
	Description string `json:"description"`
}

// identity is the answer to IDZ, without an envelope.
type identity struct {
	Name string `json:"name"`
	Host string `json:"host"`
	ID   string `json:"id"`
}
