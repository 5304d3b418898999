package wire

import (
	"bytes"
	"encoding/json"
	"strings"
)

// ClientConnect is CONNECT of a client (client-protocol 4). Start from DefaultClientConnect,
// which is what a connection without CONNECT runs with.
type ClientConnect struct {
	Verbose      bool   `json:"verbose"`
	Pedantic     bool   `json:"pedantic"`
	Echo         bool   `json:"echo"`
	TLSRequired  bool   `json:"tls_required"` // informative, not enforced
	Protocol     int    `json:"protocol"`
	Headers      bool   `json:"headers"`
	NoResponders bool   `json:"no_responders"`
	Name         string `json:"name"`
	Lang         string `json:"lang"`
	Version      string `json:"version"`
	User         string `json:"user"`
	Pass         string `json:"pass"`
	Token        string `json:"auth_token"`
	NKey         string `json:"nkey"`
	Sig          string `json:"sig"`
	JWT          string `json:"jwt"`
	ProxySig     string `json:"proxy_sig"`
	Account      string `json:"account"`     // historical, refused when set
	NewAccount   bool   `json:"new_account"` // historical, refused when set
}

// DefaultClientConnect gives the options before the first CONNECT.
func DefaultClientConnect() ClientConnect {
	return ClientConnect{Verbose: true, Pedantic: true, Echo: true}
}

// Decode overlays the argument of a CONNECT on c: keys match in any letter case, unknown
// ones are ignored, absent ones and null keep the value. On an error, ErrBadJSON, c is unchanged.
func (c *ClientConnect) Decode(arg []byte) error {
	next := *c
	if err := json.Unmarshal(arg, &next); err != nil {
		return ErrBadJSON
	}
	*c = next
	return nil
}

// DecodeJSON decodes the argument of an INFO or CONNECT of a peer into one of the
// structs of this package. Unknown keys are ignored. The error is ErrBadJSON.
func DecodeJSON(arg []byte, into any) error {
	if err := json.Unmarshal(arg, into); err != nil {
		return ErrBadJSON
	}
	return nil
}

// AppendInfo appends `INFO <json> CRLF` for one of the info structs.
func AppendInfo(dst []byte, info any) []byte { return appendJSONLine(dst, "INFO ", info, " \r\n") }

// AppendConnect appends `CONNECT <json> CRLF` for one of the connect structs.
func AppendConnect(dst []byte, connect any) []byte {
	return appendJSONLine(dst, "CONNECT ", connect, CRLF)
}

// appendJSONLine can't fail for the structs of this package: they hold nothing that
// encoding/json refuses.
func appendJSONLine(dst []byte, verb string, v any, end string) []byte {
	js, err := json.Marshal(v)
	if err != nil {
		panic("wire: " + err.Error())
	}
	dst = append(dst, verb...)
	dst = append(dst, js...)
	return append(dst, end...)
}

// RedactConnect gives the argument of a CONNECT for a log, with secrets replaced.
// What can't be read as JSON is not shown at all.
func RedactConnect(arg []byte) []byte {
	var keys map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(arg))
	if err := dec.Decode(&keys); err != nil {
		return []byte("[unreadable]")
	}
	for k := range keys {
		if secretKey(strings.ToLower(k)) {
			keys[k] = json.RawMessage(`"[REDACTED]"`)
		}
	}
	out, err := json.Marshal(keys)
	if err != nil {
		return []byte("[unreadable]")
	}
	return out
}

func secretKey(k string) bool {
	switch k {
	case "sig", "proxy_sig", "nkey", "jwt":
		return true
	}
	return strings.HasPrefix(k, "pass") || strings.HasPrefix(k, "auth_token")
}
