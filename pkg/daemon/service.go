package daemon

import (
	"context"
	"net"
)

// Service is what the packages of links and the HTTP endpoints have in common.
type Service interface {
	Start() error
	// Addr is the address that is listened on, nil if none is.
	Addr() *net.TCPAddr
	Close()
}

// asker is a Service that may be asked for a reload from outside.
type asker interface{ SetReload(f func() error) }

// drainer is a Service that can be stopped gently.
type drainer interface{ Drain(ctx context.Context) }

// ServicePart makes a part of a service. kind and scheme are for the ports
// file; see [Endpoint].
func ServicePart(phase Phase, name, kind, scheme string, s Service) Part {
	part := Part{Phase: phase, Name: name, Start: s.Start, Stop: s.Close, Endpoint: &Endpoint{Kind: kind, Scheme: scheme, Addr: s.Addr}}
	if d, ok := s.(drainer); ok {
		part.Drain = d.Drain
	}
	if a, ok := s.(asker); ok {
		part.asks = a.SetReload
	}
	if r, ok := s.(Reloader); ok {
		part.Prepare = r.Prepare
	}
	return part
}
