package tlsmaterial

import "crypto/tls"

// VersionName is a version of TLS as monitoring and services are told of it: 1.2, 1.3.
func VersionName(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return tls.VersionName(v)
}
