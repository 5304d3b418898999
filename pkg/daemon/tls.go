package daemon

import (
	"context"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/tlsmaterial"
)

// keepTLS makes what keeps the tls blocks of the settings fresh. What the settings
// want the process to end for is sent to fatal.
func keepTLS(cfg *config.Config, log *logging.Logger, fatal chan error) *tlsmaterial.Keeper {
	k := tlsmaterial.NewKeeper(tlsmaterial.Options{
		Log:   log,
		Cache: cfg.OCSPCache.Material(),
		Fatal: func(err error) {
			select {
			case fatal <- err:
			default: // one reason is enough
			}
		},
	})
	for _, block := range cfg.TLSBlocks() {
		block.TLS.Keep(k, block.Key)
	}
	return k
}

// orFatal is ctx that ends, too, when the process has to. why tells afterwards what
// for; it must be called.
func (p *Process) orFatal(ctx context.Context) (_ context.Context, why func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		select {
		case err := <-p.fatal:
			p.Log.Errorf("The server has to stop: %v", err)
			cancel()
			ended <- err
		case <-ctx.Done():
			ended <- nil
		}
	}()
	return ctx, func() error {
		cancel()
		return <-ended
	}
}
