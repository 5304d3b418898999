package monitor

// PeerCert is a certificate that a client showed.
type PeerCert struct {
	Subject    string `json:"subject,omitempty"`
	SPKISHA256 string `json:"spki_sha256,omitempty"`
	CertSHA256 string `json:"cert_sha256,omitempty"`
}

// SubDetail is one subscription.
type SubDetail struct {
	Account string `json:"account,omitempty"`
	Tag     string `json:"account_tag,omitempty"`
	Subject string `json:"subject"`
	Queue   string `json:"qgroup,omitempty"`
	SID     string `json:"sid"`
	Msgs    int64  `json:"msgs"`
	Max     int64  `json:"max,omitempty"`
	CID     uint64 `json:"cid"`
}

// Permissions of a user, as shown to the user and to operators.
type Permissions struct {
	Publish   *SubjectPermission  `json:"publish,omitempty"`
	Subscribe *SubjectPermission  `json:"subscribe,omitempty"`
	Responses *ResponsePermission `json:"responses,omitempty"`
}

// SubjectPermission is a pair of lists of subjects.
type SubjectPermission struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
}

// ResponsePermission lets a user answer. TTL is in nanoseconds.
type ResponsePermission struct {
	Max int   `json:"max"`
	TTL int64 `json:"ttl"`
}

// GatewayAccount is what is known of another region's interest in one account.
type GatewayAccount struct {
	Name                  string `json:"name"`
	InterestMode          string `json:"interest_mode"` // Optimistic, Transitioning or Interest-Only
	NoInterestCount       int    `json:"no_interest_count,omitempty"`
	InterestOnlyThreshold int    `json:"interest_only_threshold,omitempty"`
	NumSubs               int    `json:"num_subs,omitempty"`
	NumQueueSubs          int    `json:"num_queue_subs,omitempty"`

	Subs       []string    `json:"subscriptions_list,omitempty"`
	SubsDetail []SubDetail `json:"subscriptions_list_detail,omitempty"`
}
