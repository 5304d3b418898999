// Package certs makes a small certificate authority and the server and client
// certificates it signs: for demos, tests and first steps with TLS, so that
// nobody needs openssl.
//
// All keys are ECDSA P-256. Key files are created with mode 0600 and replaced
// by rename, so a reader sees the old file or the new one and never half of
// one. Ensure is idempotent: what is there and still good is left alone.
//
//	res, err := certs.Ensure(certs.Spec{
//		Dir:   "tls",
//		Name:  "hub-sfo-0",
//		Hosts: []string{"hub-sfo-0.example.net", "127.0.0.1"},
//	})
//	// tls/ca.crt tls/ca.key tls/hub-sfo-0.crt tls/hub-sfo-0.key
//
// This is not a public key infrastructure: the authority's key lies beside the
// certificates and nothing is ever revoked.
//
// It stands on the ground floor and imports the standard library only.
package certs
