package config

import "testing"

func TestOpenFiles(t *testing.T) {
	for _, c := range []struct {
		daemon        Daemon
		set           map[string]string
		least, wanted uint64
	}{
		{Hubd, nil, 64 + 65536, 141072},
		{Leafd, map[string]string{"clients.limits.max_connections": "100"}, 164, 10200},
		{Hubd, map[string]string{"clients.limits.max_connections": "0"}, 64, 10000},
		{Hubd, map[string]string{"clients.limits.max_connections": "-1"}, 64, 10000},
		{Hubd, map[string]string{"clients.limits.max_connections": "10", "cluster.listen": "127.0.0.1:6222", "cluster.routes": "nats://a:1,nats://b:1", "cluster.pool_size": "3"}, 80, 10020},
		{Hubd, map[string]string{"clients.limits.max_connections": "10", "cluster.listen": "127.0.0.1:6222", "cluster.routes": "nats://a:1,nats://b:1", "cluster.pool_size": "-1"}, 76, 10020},
	} {
		cfg, _, err := Load(LoadOptions{Daemon: c.daemon, Set: c.set})
		if err != nil {
			t.Fatal(err)
		}
		if least, wanted := cfg.OpenFiles(); least != c.least || wanted != c.wanted {
			t.Errorf("%s %v: %d and %d, want %d and %d", c.daemon, c.set, least, wanted, c.least, c.wanted)
		}
	}
}
