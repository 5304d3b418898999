package claims

import "github.com/banyanmq/banyan/pkg/config"

// config is the settings in force.
func (s *Service) config() *config.Config {
	if c := s.settings.Load(); c != nil {
		return c
	}
	return s.o.Config
}

// Prepare has messages tell new tags and metadata. See daemon.Prepare.
func (s *Service) Prepare(ch *config.Change) (apply func(), err error) {
	return func() { s.settings.Store(ch.New) }, nil
}
