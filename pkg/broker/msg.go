package broker

// Msg is one message on its way. Its slices are those of the block it was read
// in: whoever keeps something copies it. It is reused by its source.
type Msg struct {
	Account *Account
	Subject []byte
	Reply   []byte // nil: none
	HdrLen  int    // leading bytes of Payload that are the header
	Payload []byte

	// Groups is the list of queue groups that may be served, when Listed is set
	// (a message from another server). Otherwise all groups may be.
	Groups [][]byte
	Listed bool

	// From is where the message came in.
	From *Port
	// Cluster is the leaf cluster that the message comes from, if any.
	Cluster string
	// Original is set by a Sink's owner when the subject shown must differ; see
	// cluster-routes 14.6. nil: Subject is shown.
	Original []byte

	// via is the service import by which the message came into its account, if any.
	via *hop
}

// listed tells whether group g may be served, and at which place of the list it
// stands, modulo 64.
func (m *Msg) listed(g []byte) (at int, ok bool) {
	if !m.Listed {
		return 0, true
	}
	for i, q := range m.Groups {
		if string(q) == string(g) {
			return i & 63, true
		}
	}
	return 0, false
}

// Sub is one subscription, or one key of interest of another server. All fields
// but the weight are fixed once it has been added to an account.
type Sub struct {
	Port    *Port
	Account *Account
	Subject []byte
	Queue   []byte // nil: plain
	SID     string // names it to whoever has it
	// Origin is usually the port's; routes carry interest of leaf clusters.
	Origin Origin
	Tier   uint8
	gone   bool // guarded by the account's lock
	// weight is the number of members that a queue subscription stands for. Changed
	// with the account locked, read by anybody.
	weight weight
	// State belongs to the port's owner, who guards it.
	State SubState
	// extra is not nil if this is not an ordinary subscription.
	extra *extra
}

// SubState is the part of a subscription that its port's owner keeps, under a
// lock of its own.
type SubState struct {
	Delivered int64 // messages queued
	Max       int32 // remove after so many; 0: no limit
	Gone      bool  // unsubscribed: nothing more may be queued
	Filter    bool  // check delivery-time denies
}
