package wire

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// NewNonce gives the 15 characters that a peer signs to prove its key:
// 11 random bytes in URL-safe base64 without padding.
func NewNonce() string {
	var raw [11]byte
	rand.Read(raw[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// PoolIndex gives the pooled route connection that an account uses, in [0, poolSize);
// 0 without a pool (cluster-routes 7.1).
func PoolIndex[T ~string | ~[]byte](account T, poolSize int) int {
	if poolSize <= 1 {
		return 0
	}
	return int(fnv1a(account) % uint32(poolSize))
}

func fnv1a[T ~string | ~[]byte](s T) uint32 {
	h := uint32(0x811c9dc5)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint32(s[i])) * 0x01000193
	}
	return h
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NameHash gives the first n base-62 characters of a name's SHA-256, n at most 32.
// Gateways use 6 of cluster names and server ids, see [GatewayHash].
func NameHash(name string, n int) string {
	sum := sha256.Sum256([]byte(name))
	out := make([]byte, n)
	for i := range out {
		out[i] = base62[sum[i]%62]
	}
	return string(out)
}

// GatewayHash is the 6-character hash of a gateway name, or of a server id, in
// a `_GR_.` reply (gateways 10.2).
func GatewayHash(name string) string { return NameHash(name, gatewayHashLen) }

// OldGatewayHash is the 4-character hash of a gateway name in a `$GR.` reply.
func OldGatewayHash(gateway string) string {
	sum := sha256.Sum256([]byte(gateway))
	return hex.EncodeToString(sum[:2])
}

// The prefixes of mapped replies:
//
//	_GR_.<cluster hash: 6>.<server hash: 6>.<reply>
//	$GR.<cluster hash: 4>.<reply>                     peers without gateway_nrp
const (
	GatewayReplyPrefix    = "_GR_."
	OldGatewayReplyPrefix = "$GR."
	ServiceReplyPrefix    = "_R_." // replies of service imports
	AckReplyPrefix        = "$JS.ACK."

	gatewayHashLen      = 6
	oldGatewayHashLen   = 4
	gatewayReplyLen     = len(GatewayReplyPrefix) + gatewayHashLen + 1 + gatewayHashLen + 1
	oldGatewayReplyLen  = len(OldGatewayReplyPrefix) + oldGatewayHashLen + 1
	ackDotsBeforeOrigin = 8
)

// IsGatewayReply reports whether a subject is a mapped reply of the present form, with
// something behind its 19-byte prefix.
func IsGatewayReply(subject []byte) bool {
	return len(subject) > gatewayReplyLen &&
		string(subject[:len(GatewayReplyPrefix)]) == GatewayReplyPrefix &&
		subject[11] == '.' && subject[18] == '.'
}

// IsOldGatewayReply reports whether a subject is a mapped reply of the old form.
func IsOldGatewayReply(subject []byte) bool {
	return len(subject) > oldGatewayReplyLen &&
		string(subject[:len(OldGatewayReplyPrefix)]) == OldGatewayReplyPrefix &&
		subject[8] == '.'
}

// SplitGatewayReply cuts a mapped reply of either form. server is nil in the old
// form; ok is false when the subject is not mapped.
func SplitGatewayReply(subject []byte) (cluster, server, reply []byte, ok bool) {
	switch {
	case IsGatewayReply(subject):
		return subject[5:11], subject[12:18], subject[gatewayReplyLen:], true
	case IsOldGatewayReply(subject):
		return subject[4:8], nil, subject[oldGatewayReplyLen:], true
	}
	return nil, nil, nil, false
}

// StripGatewayReply gives the reply as the requester wrote it; a subject that is not
// mapped comes back as it is.
func StripGatewayReply(subject []byte) []byte {
	if _, _, reply, ok := SplitGatewayReply(subject); ok {
		return reply
	}
	return subject
}

// AppendGatewayReply appends the mapped form of reply. The hashes come from [GatewayHash].
func AppendGatewayReply(dst []byte, cluster, server string, reply []byte) []byte {
	dst = append(dst, GatewayReplyPrefix...)
	dst = append(dst, cluster...)
	dst = append(dst, '.')
	dst = append(dst, server...)
	dst = append(dst, '.')
	return append(dst, reply...)
}

// AppendOldGatewayReply appends the mapped form for peers that do not know `_GR_.`. The hash
// comes from [OldGatewayHash].
func AppendOldGatewayReply(dst []byte, cluster string, reply []byte) []byte {
	dst = append(dst, OldGatewayReplyPrefix...)
	dst = append(dst, cluster...)
	dst = append(dst, '.')
	return append(dst, reply...)
}

// IsReservedReply reports whether a client may not name this reply: `_R_.`, `_GR_.`
// or `$JS.ACK.` with at least one more byte (client-protocol 6).
func IsReservedReply(reply []byte) bool {
	return longer(reply, ServiceReplyPrefix) || longer(reply, GatewayReplyPrefix) || longer(reply, AckReplyPrefix)
}

func longer(s []byte, prefix string) bool {
	return len(s) > len(prefix) && string(s[:len(prefix)]) == prefix
}

// SplitDeliverReply cuts the reply of a stream delivery that crossed servers,
// `$JS.ACK.<tokens>@<subject>`: the client sees ack as reply and subject as subject. The cut
// is at the first `@` behind at least eight dots (cluster-routes 14.6).
func SplitDeliverReply(reply []byte) (ack, subject []byte, ok bool) {
	if !longer(reply, AckReplyPrefix) {
		return reply, nil, false
	}
	for from, dots := 0, 0; ; {
		n := bytes.IndexByte(reply[from:], '@')
		if n < 0 {
			return reply, nil, false
		}
		at := from + n
		if dots += bytes.Count(reply[from:at], dot); dots >= ackDotsBeforeOrigin {
			return reply[:at], reply[at+1:], at+1 < len(reply)
		}
		from = at + 1
	}
}

var dot = []byte{'.'}

// AppendDeliverReply appends `<ack>@<subject>`, unless ack carries a subject already.
func AppendDeliverReply(dst, ack, subject []byte) []byte {
	dst = append(dst, ack...)
	if _, _, ok := SplitDeliverReply(ack); ok {
		return dst
	}
	dst = append(dst, '@')
	return append(dst, subject...)
}
