package monitor

import (
	"time"

	"github.com/banyanmq/banyan/pkg/config"
)

// inForce is the settings in force and what follows from them. It is not changed.
type inForce struct {
	config *config.Config
	loaded time.Time
	expiry expiry
}

func newInForce(c *config.Config, loaded time.Time) *inForce {
	f := &inForce{config: c, loaded: loaded}
	f.expiry.watch(c)
	return f
}

// Prepare has the reports show new settings. See daemon.Prepare.
func (s *Service) Prepare(ch *config.Change) (apply func(), err error) {
	return func() { s.r.set.Store(newInForce(ch.New, time.Now())) }, nil
}
