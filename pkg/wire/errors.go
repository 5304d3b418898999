package wire

import "strconv"

// ProtoError is a violation that ends the connection. The values are predeclared and
// compared by identity; none is made on the way of a message.
type ProtoError struct {
	Text   string      // exact text for -ERR, "" means close without a word
	Reason CloseReason // what monitoring shows
	detail string      // for our own log when Text is empty
}

// Error is the text for logs.
func (e *ProtoError) Error() string {
	if e.Text != "" {
		return e.Text
	}
	return e.detail
}

// What the parsers return. The three silent ones close without -ERR because clients
// and reference servers know no text for them (client-protocol 5, cluster-routes 18).
var (
	ErrUnknownOp     = &ProtoError{Text: TextUnknownOperation, Reason: ReasonProtocolViolation}
	ErrControlLine   = &ProtoError{Text: TextMaxControlLine, Reason: ReasonMaxControlLine}
	ErrMaxPayload    = &ProtoError{Text: TextMaxPayload, Reason: ReasonMaxPayload}
	ErrArguments     = &ProtoError{Reason: ReasonProtocolViolation, detail: "wrong number or form of arguments"}
	ErrBadJSON       = &ProtoError{Reason: ReasonProtocolViolation, detail: "malformed JSON argument"}
	ErrHeadersNotSet = &ProtoError{Reason: ReasonProtocolViolation, detail: "HPUB without headers agreed in CONNECT"}
)

// Texts of -ERR towards clients (client-protocol 18). Clients match on them, and
// the Go and C clients give up for good on any text that they do not know.
const (
	TextUnknownOperation      = "Unknown Protocol Operation"
	TextMaxControlLine        = "maximum control line exceeded"
	TextMaxPayload            = "Maximum Payload Violation"
	TextInvalidSubject        = "Invalid Subject"
	TextInvalidPublishSubject = "Invalid Publish Subject"
	TextMaxSubscriptions      = "maximum subscriptions exceeded"
	TextAuthViolation         = "Authorization Violation"
	TextAuthTimeout           = "Authentication Timeout"
	TextUserExpired           = "User Authentication Expired"
	TextAccountExpired        = "Account Authentication Expired"
	TextUserRevoked           = "User Authentication Revoked"
	TextAccountRegistration   = "Failed Account Registration"
	TextMaxConnections        = "maximum connections exceeded"
	TextMaxAccountConnections = "maximum account active connections exceeded"
	TextInvalidClientProtocol = "invalid client protocol"
	TextNoRespondersHeaders   = "no responders requires headers support"
	TextStale                 = "Stale Connection"
	TextThrottled             = "Connection throttling is active. Please try again later."
	TextTLSRequired           = "Secure Connection - TLS Required"
	TextRoutePort             = "attempted to connect to route port"
	TextLeafPort              = "attempted to connect to leaf node port"
	TextGatewayPort           = "attempted to connect to gateway port"
)

// Texts of -ERR on leaf links (leafnodes 20); solicitors match on substrings of them.
const (
	TextSameClusterName      = "remote leafnode has same cluster name"
	TextClusterNameSpaces    = "cluster name cannot contain spaces"
	TextDuplicateLeaf        = "Duplicate Remote LeafNode Connection"
	TextInvalidSubscription  = "Invalid Subscription"
	TextStaleLeaf            = "Stale Leaf Node Connection - Closing"
	TextWrongPort            = "attempted to connect to wrong port" // log only, never sent
	LoopDetectedMark         = "Loop detected"
	MinVersionMark           = "connection rejected since minimum version required is"
	TextAccountAbsentStart   = "Account absent from receive-all-subscriptions-start command"
	TextAccountAbsentEnd     = "Account absent from receive-all-subscriptions-complete command"
	TextSubscriptionTooManyT = ", too many tokens"
)

// quote renders a name the way clients' patterns expect it: in double quotes with `"`
// and what is not printable escaped.
func quote(s string) string { return strconv.Quote(s) }

// TextPublishViolation: the subject may not be published to.
func TextPublishViolation(subject string) string {
	return "Permissions Violation for Publish to " + quote(subject)
}

// TextReplyViolation: the reply subject is reserved or not permitted.
func TextReplyViolation(reply string) string {
	return "Permissions Violation for Publish with Reply of " + quote(reply)
}

// TextSubscribeViolation: the subject may not be subscribed to; queue "" means plain.
func TextSubscribeViolation(subject, queue string) string {
	s := "Permissions Violation for Subscription to " + quote(subject)
	if queue != "" {
		s += " using queue " + quote(queue)
	}
	return s
}

// TextTooManyTokens: the subject has more tokens than max_subscription_tokens.
func TextTooManyTokens(subject string) string {
	return "Permissions Violation for Subscription to " + quote(subject) + TextSubscriptionTooManyT
}

// TextSubscriptionRemoved: a reload took the permission of a live subscription away.
func TextSubscriptionRemoved(subject, queue, sid string) string {
	return TextSubscribeViolation(subject, queue) + " (sid " + quote(sid) + ")"
}
