package wire

import "strconv"

// ProtoError is a violation that ends the connection. Parsers return the predeclared values
// below, which may be compared by identity, and never make one.
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

// Texts of -ERR on leaf links (leafnodes 20).
const (
	TextSameClusterName     = "remote leafnode has same cluster name"
	TextClusterNameSpaces   = "cluster name cannot contain spaces"
	TextClusterNameReserved = "cluster name is reserved"
	TextDuplicateLeaf       = "Duplicate Remote LeafNode Connection"
	TextInvalidSubscription = "Invalid Subscription"
	TextStaleLeaf           = "Stale Leaf Node Connection - Closing"
	TextWrongPort           = "attempted to connect to wrong port" // solicitor's log, never sent
)

// What a soliciting leaf looks for in an -ERR, besides [TextSameClusterName], to wait longer
// before it dials again (leafnodes 14.5).
const (
	MarkLoopDetected = "Loop detected"
	MarkMinVersion   = "connection rejected since minimum version required is"
)

// Texts of -ERR on gateway connections (gateways 4.5).
const (
	TextAccountAbsentStart    = "Account absent from receive-all-subscriptions-start command"
	TextAccountAbsentComplete = "Account absent from receive-all-subscriptions-complete command"
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
	return "Permissions Violation for Subscription to " + quote(subject) + ", too many tokens"
}

// TextSubscriptionRemoved: a reload took the permission of a live subscription away.
func TextSubscriptionRemoved(subject, queue, sid string) string {
	return TextSubscribeViolation(subject, queue) + " (sid " + quote(sid) + ")"
}

// TextUnsupportedCompression: the peer's INFO names a compression mode that does not exist. The
// word route stands in it on leaf links too.
func TextUnsupportedCompression(mode string) string {
	return "unsupported route compression mode " + quote(mode)
}

// TextGatewayOnRoutePort: CONNECT on a route names a gateway.
func TextGatewayOnRoutePort(gateway string) string {
	return "Rejecting connection from gateway " + quote(gateway) + " on the Route port"
}

// TextGatewayOnLeafPort: CONNECT on a leaf link names a gateway.
func TextGatewayOnLeafPort(gateway string) string {
	return "Rejecting connection from gateway " + quote(gateway) + " on the leafnode port"
}

// TextClusterNameConflict: CONNECT on a route is of another cluster.
func TextClusterNameConflict(theirs, ours string) string {
	return "Rejecting connection, cluster name " + quote(theirs) + " does not match " + quote(ours)
}

// TextInvalidPoolIndex: route_pool_idx is out of range; size is the remote's pool size.
func TextInvalidPoolIndex(index, size int) string {
	return "Invalid route pool index: " + strconv.Itoa(index) + " - pool size is " + strconv.Itoa(size)
}

// TextPoolIndexSet: the acceptor's INFO carries an index, which only the dialer chooses.
func TextPoolIndexSet(index int) string {
	return "Route pool index should not be set but is set to " + strconv.Itoa(index)
}

// TextRouteAccountMissing: a dedicated route is for an account that does not exist here.
func TextRouteAccountMissing(account string) string {
	return "Unable to lookup account " + quote(account) + ": account missing"
}

// TextNoRouteForAccount: the account is not among our dedicated ones.
func TextNoRouteForAccount(account string) string {
	return "No route for account " + quote(account)
}

// TextNoDedicatedRoute: a dedicated route, but one of the two does not pool.
func TextNoDedicatedRoute(account string) string {
	return "Not possible to have a dedicated route for account " + quote(account) + " between those servers"
}

// TextGatewayRejected: reject_unknown_cluster refuses the dialer. own is our gateway name.
func TextGatewayRejected(own string) string {
	return "Connection to gateway " + quote(own) + " rejected"
}

// TextGatewayWrongPort: what was dialed as a gateway is none.
func TextGatewayWrongPort(wanted string) string {
	return "Attempt to connect to gateway " + quote(wanted) + " using wrong port"
}

// TextGatewayWrongName: what was dialed is another gateway than wanted.
func TextGatewayWrongName(own, wanted, theirs string) string {
	return "Connection from " + quote(own) + " rejected, wanted to connect to " + quote(wanted) +
		", this is " + quote(theirs)
}

// TextMinVersion: the leaf is older than min_version.
func TextMinVersion(least string) string { return MarkMinVersion + " " + quote(least) }

// TextLoopDetected: own loop subject came back over a leaf link.
func TextLoopDetected(account string) string {
	return MarkLoopDetected + " for leafnode account=" + quote(account) + ". Delaying attempt to reconnect for 30s"
}

// TextServerBusy: the leaf listener sheds load. Sent before TLS to our own leafd only;
// reference solicitors treat it as any other error.
func TextServerBusy(retryAfterMS int) string {
	return "Server Busy, retry after " + strconv.Itoa(retryAfterMS)
}
