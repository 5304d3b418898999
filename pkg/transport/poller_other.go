//go:build !linux

package transport

// Poller would wait for many sockets with few goroutines; here the runtime's
// poller and a goroutine for each connection do.
type Poller struct{}

// NewPoller makes a Poller that takes over nothing.
func NewPoller(limit int) *Poller { return &Poller{} }

// Close does nothing.
func (p *Poller) Close() {}

type (
	loop     struct{}
	lateness struct{}
)

func (t *lateness) stop() {}

func (c *Conn) launch() bool       { return false }
func (c *Conn) ashore() error      { return nil }
func (c *Conn) summonLocked()      {}
func (c *Conn) holdLocked()        {}
func (c *Conn) closeFDLocked(bool) {}
