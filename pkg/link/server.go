package link

import (
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/transport"
)

// Server is who this process is. Fixed after the start, but for the cluster's
// name, which a server without one adopts from others.
type Server struct {
	ID      string // public server key, N...; new at each start
	XKey    string // public curve key, X...
	Name    string
	Product string // hubd, gwd or leafd
	Version string // of the product
	Started time.Time
	Poller  *transport.Poller // waits for connections; nil: each has a goroutine

	mu      sync.RWMutex
	cluster string
	dynamic bool
	onName  []func(name string)
}

// Cluster is the cluster's name, empty without one, and whether it may still
// change for another's.
func (s *Server) Cluster() (name string, dynamic bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cluster, s.dynamic
}

// SetCluster changes the name and tells those that asked to know.
func (s *Server) SetCluster(name string, dynamic bool) {
	s.mu.Lock()
	changed := s.cluster != name
	s.cluster, s.dynamic = name, dynamic
	told := s.onName
	s.mu.Unlock()
	if changed {
		for _, f := range told {
			f(name)
		}
	}
}

// OnCluster registers f to be called with the new name when it changes.
func (s *Server) OnCluster(f func(name string)) {
	s.mu.Lock()
	s.onName = append(s.onName, f)
	s.mu.Unlock()
}
