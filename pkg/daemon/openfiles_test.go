package daemon

import (
	"strings"
	"testing"

	"github.com/banyanmq/banyan/pkg/config"
)

func TestFewOpenFilesAreToldOf(t *testing.T) {
	for _, c := range []struct {
		daemon  config.Daemon
		clients int
		limit   uint64
		known   bool
		want    string
	}{
		{config.Hubd, 1000, 1024, true, "At most 1024 files may be open, but clients.limits.max_connections is 1000: raise the limit"},
		{config.Hubd, 1000, 2000, true, ""},
		{config.Hubd, 1000, 1024, false, ""},
		{config.Hubd, -1, 1024, true, ""},
		{config.Leafd, 65536, 1024, true, "clients.limits.max_connections is 65536"},
		{config.Gwd, 65536, 1024, true, ""},
		{config.Gwd, 65536, 60, true, "At most 60 files may be open, and the settings need 64: raise the limit"},
	} {
		cfg := settings(t)
		cfg.Daemon, cfg.Limits.MaxConnections = c.daemon, c.clients
		if c.daemon != config.Gwd {
			cfg.Client.Port = 4222
		}
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		p.warnOpenFiles(c.limit, c.known)
		p.log.Close()
		p.Server.Poller.Close()
		p.TLS.Close()
		got := read(t, cfg.Log.File)
		if c.want == "" && strings.Contains(got, "open") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: the log says %q", c, got)
		}
	}
}
