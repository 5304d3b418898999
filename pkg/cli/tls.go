package cli

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// insecureTLS is what --tls-insecure asks for.
func insecureTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
}

// httpTLS builds the TLS settings for the HTTP port of a daemon.
func (c *connection) httpTLS() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.tlsInsecure}
	if ca := firstOf(c.tlsCA, "NATS_CA"); ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", ca)
		}
	}
	cert, key := firstOf(c.tlsCert, "NATS_CERT"), firstOf(c.tlsKey, "NATS_KEY")
	if cert != "" && key != "" {
		p, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{p}
	}
	return cfg, nil
}
