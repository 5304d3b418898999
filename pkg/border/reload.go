package border

import "github.com/banyanmq/banyan/pkg/config"

// Prepare takes new settings for routes and gateways. See daemon.Prepare.
func (s *Service) Prepare(ch *config.Change) (apply func(), err error) {
	routes, err := s.routes.Prepare(ch)
	if err != nil {
		return nil, err
	}
	gateways, err := s.gateways.Prepare(ch)
	if err != nil {
		return nil, err
	}
	return func() {
		for _, f := range []func(){routes, gateways} {
			if f != nil {
				f()
			}
		}
	}, nil
}
