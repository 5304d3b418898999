package wire

// Kind says which operation an [Op] holds.
type Kind uint8

// The kinds, with the fields of [Op] that each sets. All other fields are zero.
const (
	KindNone        Kind = iota
	KindConnect          // Arg: the JSON as sent, not decoded
	KindInfo             // Arg: the JSON as sent
	KindPing             // nothing
	KindPong             // nothing
	KindOK               // nothing
	KindErr              // Arg: the text with its quotes, as sent
	KindPub              // PUB, HPUB: Subject, Reply, HdrLen, Payload
	KindSub              // Subject, Queue, SID
	KindUnsub            // SID, Max
	KindMsg              // RMSG, LMSG, HMSG of peers: Origin, Account, Subject, Reply, Queues, HasQueues, HdrLen, Payload, Dirty
	KindInterestAdd      // RS+, LS+: Origin, Account, Subject, Queue, Weight, Dirty
	KindInterestDel      // RS-, LS-: Origin, Account, Subject, Queue, Dirty
	KindAccountAdd       // A+: Account
	KindAccountDel       // A-: Account
	KindFence            // GFENCE: Arg, the id
	KindTargetedMsg      // GMSG: as KindMsg, Origin is the target cluster
	kindCount
)

var kindNames = [kindCount]string{
	"none", "CONNECT", "INFO", "PING", "PONG", "+OK", "-ERR", "PUB", "SUB", "UNSUB",
	"message", "interest+", "interest-", "A+", "A-", "GFENCE", "GMSG",
}

// String gives a name for logs and test transcripts.
func (k Kind) String() string {
	if k < kindCount {
		return kindNames[k]
	}
	return "unknown"
}

// Op is one parsed operation. It is filled by a parser's Next and meant to be
// reused for the whole life of a connection; the zero value is ready.
//
// Every slice points into the block that was given to Next and is valid only as
// long as the caller leaves that block alone. Next sets all fields of the kind
// it found and clears the rest, so nothing of an earlier operation is left.
type Op struct {
	Kind Kind

	// HasQueues tells a message line with a group list (`|` or `+` form, the
	// list may be empty) from one without.
	HasQueues bool

	// Dirty is set when a name on a peer's line holds CR or NUL. Reference servers
	// take those from their clients and pass them on. Such a line must not be
	// delivered or recorded (the bytes would break lines, logs and MQTT
	// topics downstream), but it is no reason to close the link. Clients are refused
	// by their parser instead.
	Dirty bool

	Account []byte // peers: account of the line, nil where the dialect has none
	Origin  []byte // leaf cluster of LS+, LS-, LMSG on routes; target cluster of GMSG
	Subject []byte
	Reply   []byte   // nil: none
	Queue   []byte   // nil: plain
	Queues  [][]byte // group list of a message line
	SID     []byte
	Max     int    // UNSUB limit counted from the first message, -1: remove now
	Weight  int32  // members behind RS+ or LS+ with a queue, 0 for plain interest
	HdrLen  int    // leading bytes of Payload that are the header, 0: none
	Payload []byte // header and body, without the closing CRLF
	Arg     []byte // see the kinds

	// fields is the storage that Queues is cut from, kept so that the list costs
	// no allocation after the first.
	fields [][]byte
}

// become turns op into an empty operation of kind k. An Op that has the kind
// already only has this kind's fields set, and the parser is about to
// overwrite all of them; skipping the clearing then keeps it off the message path.
func (op *Op) become(k Kind) {
	if op.Kind != k {
		*op = Op{Kind: k, fields: op.fields[:0]}
	}
}
