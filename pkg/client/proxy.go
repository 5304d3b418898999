package client

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

const (
	proxyV1    = "PROXY "
	proxyV1Max = 107 // bytes of a line, CRLF included
	proxyV2    = "\r\n\r\n\x00\r\nQUIT\n"
	// proxyV2Max bounds what follows the fixed part, so that nobody makes us hold
	// 64 KiB before he has said who he is.
	proxyV2Max   = 4 << 10
	proxyV2Fixed = 16
)

// parseProxy looks for a PROXY header, version 1 or 2, at the start of b.
func parseProxy(b []byte) (proxyHeader, error) {
	switch {
	case startsLike(b, proxyV1):
		if len(b) < len(proxyV1) {
			return proxyHeader{more: true}, nil
		}
		return parseProxyV1(b)
	case startsLike(b, proxyV2):
		if len(b) < proxyV2Fixed {
			return proxyHeader{more: true}, nil
		}
		return parseProxyV2(b)
	}
	return proxyHeader{}, nil
}

// startsLike tells whether b and prefix agree as far as both go.
func startsLike(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return string(b[:n]) == prefix[:n]
}

func parseProxyV1(b []byte) (proxyHeader, error) {
	end := bytes.IndexByte(b[:min(len(b), proxyV1Max)], '\n')
	if end < 0 {
		if len(b) >= proxyV1Max {
			return proxyHeader{}, errors.New("version 1: line too long")
		}
		return proxyHeader{more: true}, nil
	}
	if b[end-1] != '\r' {
		return proxyHeader{}, errors.New("version 1: line without CR")
	}
	h := proxyHeader{size: end + 1}
	f := strings.Split(string(b[len(proxyV1):end-1]), " ")
	if f[0] == "UNKNOWN" {
		return h, nil
	}
	if len(f) != 5 || f[0] != "TCP4" && f[0] != "TCP6" {
		return h, fmt.Errorf("version 1: malformed line %q", b[:end-1])
	}
	four := f[0] == "TCP4"
	src, dst := net.ParseIP(f[1]), net.ParseIP(f[2])
	if src == nil || dst == nil || strings.Contains(f[1], ":") == four || strings.Contains(f[2], ":") == four {
		return h, fmt.Errorf("version 1: addresses %q and %q for %s", f[1], f[2], f[0])
	}
	sport, err := strconv.ParseUint(f[3], 10, 16)
	if err == nil {
		_, err = strconv.ParseUint(f[4], 10, 16)
	}
	if err != nil {
		return h, fmt.Errorf("version 1: port: %w", err)
	}
	h.source = &net.TCPAddr{IP: src, Port: int(sport)}
	return h, nil
}

func parseProxyV2(b []byte) (proxyHeader, error) {
	versionCommand, family := b[12], b[13]
	n := int(binary.BigEndian.Uint16(b[14:]))
	if versionCommand>>4 != 2 {
		return proxyHeader{}, fmt.Errorf("version %d", versionCommand>>4)
	}
	if n > proxyV2Max {
		return proxyHeader{}, fmt.Errorf("version 2: %d bytes of addresses", n)
	}
	if len(b) < proxyV2Fixed+n {
		return proxyHeader{more: true}, nil
	}
	h := proxyHeader{size: proxyV2Fixed + n}
	rest := b[proxyV2Fixed : proxyV2Fixed+n]
	const local, proxied = 0, 1
	const unspecStream, inetStream, inet6Stream = 0x01, 0x11, 0x21
	switch command := versionCommand & 0xf; {
	case command == local, command == proxied && family == unspecStream:
		return h, nil
	case command != proxied:
		return h, fmt.Errorf("version 2: command %d", command)
	case family == inetStream && n >= 12:
		h.source = &net.TCPAddr{IP: bytes.Clone(rest[:4]), Port: int(binary.BigEndian.Uint16(rest[8:]))}
	case family == inet6Stream && n >= 36:
		h.source = &net.TCPAddr{IP: bytes.Clone(rest[:16]), Port: int(binary.BigEndian.Uint16(rest[32:]))}
	default:
		return h, fmt.Errorf("version 2: family and protocol %#02x with %d bytes", family, n)
	}
	return h, nil
}
