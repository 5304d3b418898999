package operator

import (
	"fmt"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/logging"
)

// Open makes the Operator that settings ask for, with its resolver.
func Open(c *config.Config, log *logging.Logger) (*Operator, error) {
	r, err := NewResolver(c.Operator.Resolver, c.Operator.ResolverTLS)
	if err != nil {
		return nil, err
	}
	o, err := New(Options{Settings: c.Operator, SystemAccount: c.SystemAccount, Resolver: r, Log: log})
	if err != nil {
		return nil, fmt.Errorf("operator mode: %w", err)
	}
	return o, nil
}
