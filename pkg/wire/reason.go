package wire

// CloseReason says why a connection was closed. Its text is what monitoring
// and disconnect events show (client-protocol 19).
type CloseReason uint8

// The reasons. Texts are part of the interface: tools match on them.
const (
	ReasonNone CloseReason = iota
	ReasonClientClosed
	ReasonAuthTimeout
	ReasonAuthFailure
	ReasonAuthExpired
	ReasonCredentialsRevoked
	ReasonTLSHandshake
	ReasonSlowPending
	ReasonSlowWrite
	ReasonWriteError
	ReasonReadError
	ReasonParseError
	ReasonProtocolViolation
	ReasonStale
	ReasonBadClientProtocol
	ReasonNoRespondersNeedsHeaders
	ReasonMaxConnections
	ReasonMaxAccountConnections
	ReasonMaxPayload
	ReasonMaxControlLine
	ReasonMaxSubscriptions
	ReasonMissingAccount
	ReasonIncorrectPort
	ReasonServerShutdown
	ReasonKicked
	ReasonDuplicateClientID
	ReasonProxyNotTrusted
	ReasonProxyRequired
	ReasonHeaderViolation
	ReasonInternal
	ReasonDuplicateRoute
	ReasonRouteRemoved
	ReasonWrongGateway
	ReasonClusterNameConflict
	ReasonClusterNamesIdentical
	ReasonDuplicateLeaf
	ReasonDuplicateServerName
	ReasonMinimumVersion
	reasonCount
)

var reasonTexts = [reasonCount]string{
	ReasonNone:                     "Unknown State",
	ReasonClientClosed:             "Client Closed",
	ReasonAuthTimeout:              "Authentication Timeout",
	ReasonAuthFailure:              "Authentication Failure",
	ReasonAuthExpired:              "Authentication Expired",
	ReasonCredentialsRevoked:       "Credentials Revoked",
	ReasonTLSHandshake:             "TLS Handshake Failure",
	ReasonSlowPending:              "Slow Consumer (Pending Bytes)",
	ReasonSlowWrite:                "Slow Consumer (Write Deadline)",
	ReasonWriteError:               "Write Error",
	ReasonReadError:                "Read Error",
	ReasonParseError:               "Parse Error",
	ReasonProtocolViolation:        "Protocol Violation",
	ReasonStale:                    "Stale Connection",
	ReasonBadClientProtocol:        "Bad Client Protocol Version",
	ReasonNoRespondersNeedsHeaders: "No Responders Requires Headers",
	ReasonMaxConnections:           "Maximum Connections Exceeded",
	ReasonMaxAccountConnections:    "Maximum Account Connections Exceeded",
	ReasonMaxPayload:               "Maximum Message Payload Exceeded",
	ReasonMaxControlLine:           "Maximum Control Line Exceeded",
	ReasonMaxSubscriptions:         "Maximum Subscriptions Exceeded",
	ReasonMissingAccount:           "Missing Account",
	ReasonIncorrectPort:            "Incorrect Port",
	ReasonServerShutdown:           "Server Shutdown",
	ReasonKicked:                   "Kicked",
	ReasonDuplicateClientID:        "Duplicate Client ID",
	ReasonProxyNotTrusted:          "Proxy Not Trusted",
	ReasonProxyRequired:            "Proxy Required",
	ReasonHeaderViolation:          "Message Header Violation",
	ReasonInternal:                 "Internal Client",
	ReasonDuplicateRoute:           "Duplicate Route",
	ReasonRouteRemoved:             "Route Removed",
	ReasonWrongGateway:             "Wrong Gateway",
	ReasonClusterNameConflict:      "Cluster Name Conflict",
	ReasonClusterNamesIdentical:    "Cluster Names Identical",
	ReasonDuplicateLeaf:            "Duplicate Remote LeafNode Connection",
	ReasonDuplicateServerName:      "Duplicate Server Name",
	ReasonMinimumVersion:           "Minimum Version Required",
}

// String is the text shown to operators.
func (r CloseReason) String() string {
	if r < reasonCount {
		return reasonTexts[r]
	}
	return reasonTexts[ReasonNone]
}

// Drops reports whether output still queued is thrown away when a connection
// closes for this reason; for all others it is flushed first.
func (r CloseReason) Drops() bool {
	switch r {
	case ReasonTLSHandshake, ReasonSlowPending, ReasonSlowWrite, ReasonWriteError, ReasonReadError:
		return true
	}
	return false
}
