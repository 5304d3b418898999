package callout

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/tlsmaterial"
)

// audience of requests.
const audience = "nats-authorization-request"

// request makes the payload about a connection, whose user is nkey if it is let in,
// and its header block, nil if it needs none.
func (c *Caller) request(q *Question, creds *auth.Credentials, nkey string) (header, payload []byte, err error) {
	r := jwt.NewAuthorizationRequestClaims(q.Subject)
	if r == nil {
		return nil, nil, errors.New("nobody to address it to")
	}
	r.Audience = audience
	r.Expires = c.o.Now().Add(c.limit() + time.Second).Unix() // whole seconds: never too early
	r.UserNkey = nkey
	r.Server = c.o.Server()
	r.ClientInformation = information(q, creds)
	r.ConnectOptions = jwt.ConnectOptions{
		JWT: creds.JWT, Nkey: creds.NKey, SignedNonce: creds.Sig, Token: creds.Token, Username: creds.User, Password: creds.Pass,
		Name: creds.Name, Lang: creds.Lang, Version: creds.Version, Protocol: creds.Protocol,
	}
	r.TLS = clientTLS(creds.TLS)
	xkey := ""
	if q.XKey != "" {
		if c.o.Curve == nil {
			return nil, nil, errors.New("it has to be encrypted and this server has no curve key")
		}
		if xkey, err = c.o.Curve.PublicKey(); err != nil {
			return nil, nil, err
		}
	}
	r.Server.XKey = xkey
	token, err := r.Encode(c.o.Identity)
	if err != nil || q.XKey == "" {
		return nil, []byte(token), err
	}
	sealed, err := c.o.Curve.Seal([]byte(token), q.XKey)
	return headerBlock(xkey), sealed, err
}

// information is what this server knows of the peer.
func information(q *Question, creds *auth.Credentials) jwt.ClientInformation {
	i := jwt.ClientInformation{
		ID: creds.ID, User: q.User, NameTag: q.NameTag, Tags: q.Tags, Name: creds.Name, Kind: "Client",
	}
	if t, ok := creds.Remote.(*net.TCPAddr); ok && t != nil {
		i.Host = t.IP.String()
	}
	if creds.Sig != "" {
		i.Nonce = creds.Nonce
	}
	switch creds.Kind {
	case config.LeafNode, config.LeafWS:
		i.Kind = "Leafnode"
	case config.WebSocket:
		i.Type = "websocket"
	case config.MQTT, config.MQTTWS:
		i.Type = "mqtt"
	default:
		i.Type = "nats"
	}
	return i
}

func clientTLS(st *tls.ConnectionState) *jwt.ClientTLS {
	if st == nil {
		return nil
	}
	out := &jwt.ClientTLS{Version: tlsmaterial.VersionName(st.Version), Cipher: tls.CipherSuiteName(st.CipherSuite)}
	for _, chain := range st.VerifiedChains {
		out.VerifiedChains = append(out.VerifiedChains, pems(chain))
	}
	if len(st.VerifiedChains) == 0 {
		out.Certs = pems(st.PeerCertificates)
	}
	return out
}

func pems(certs []*x509.Certificate) (list []string) {
	for _, x := range certs {
		list = append(list, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.Raw})))
	}
	return list
}
