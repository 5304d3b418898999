package monitor

import (
	"errors"
	"time"

	"github.com/banyanmq/banyan/pkg/version"
)

// JszOptions say what /jsz lists. A request spells some of them in its own way.
type JszOptions struct {
	Account          string `json:"account"`
	Accounts         bool   `json:"accounts"`
	Streams          bool   `json:"streams"`
	Consumer         bool   `json:"consumer"`
	DirectConsumer   bool   `json:"direct_consumer"`
	Config           bool   `json:"config"`
	LeaderOnly       bool   `json:"leader_only"`
	Offset           int    `json:"offset"`
	Limit            int    `json:"limit"`
	RaftGroups       bool   `json:"raft"`
	StreamLeaderOnly bool   `json:"stream_leader_only"`
}

// Jsz is the answer of /jsz of a server without streams: that there are none.
type Jsz struct {
	Memory          uint64    `json:"memory"`
	Storage         uint64    `json:"storage"`
	ReservedMemory  uint64    `json:"reserved_memory"`
	ReservedStorage uint64    `json:"reserved_storage"`
	Accounts        int       `json:"accounts"`
	HAAssets        int       `json:"ha_assets"`
	API             JszAPI    `json:"api"`
	ID              string    `json:"server_id"`
	Now             time.Time `json:"now"`
	Disabled        bool      `json:"disabled,omitempty"`
	Config          JszConfig `json:"config"`
	Streams         int       `json:"streams"`
	Consumers       int       `json:"consumers"`
	Messages        uint64    `json:"messages"`
	Bytes           uint64    `json:"bytes"`
	Total           int       `json:"total"`
}

// JszAPI counts requests that concern streams. Level is that of INFO's api_lvl.
type JszAPI struct {
	Level  int    `json:"level"`
	Total  uint64 `json:"total"`
	Errors uint64 `json:"errors"`
}

// JszConfig is what the settings say of streams.
type JszConfig struct {
	MaxMemory int64 `json:"max_memory"`
	MaxStore  int64 `json:"max_storage"`
}

// ErrNotLeader is the answer to who asks the leader only.
var ErrNotLeader = errors.New("filtered response: not leader")

// Jsz answers /jsz.
func (r *Reports) Jsz(o JszOptions) (any, error) {
	if f := r.o.Hooks.Jsz; f != nil {
		return f(o)
	}
	if o.LeaderOnly {
		return nil, ErrNotLeader
	}
	return &Jsz{API: JszAPI{Level: version.APILevel}, ID: r.o.Server.ID, Now: time.Now().UTC(), Disabled: true}, nil
}

func (q *query) jsz() JszOptions {
	o := JszOptions{
		Account: q.v.Get("acc"), Accounts: q.bool("accounts"), Streams: q.bool("streams"), Consumer: q.bool("consumers"),
		DirectConsumer: q.bool("direct-consumers"), Config: q.bool("config"), LeaderOnly: q.bool("leader-only"),
		Offset: q.int("offset"), Limit: q.int("limit"), RaftGroups: q.bool("raft"), StreamLeaderOnly: q.bool("stream-leader-only"),
	}
	o.Streams = o.Streams || o.Consumer
	o.Accounts = o.Accounts || o.Streams && o.Account == ""
	return o
}
