package monitor_test

import (
	"testing"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/tlsmaterial"
)

// TestVarzOfTrust: what varz says of who is trusted, and of certificates that are asked about.
func TestVarzOfTrust(t *testing.T) {
	asks := func() *config.TLS { return &config.TLS{OCSPPeer: new(tlsmaterial.OCSPPeer)} }
	k := tlsmaterial.NewKeeper(tlsmaterial.Options{})
	defer k.Close()
	o := newOptions()
	o.TLS = k
	if v := monitor.NewReports(o).Varz(); v.Proxies != nil || v.OCSPCache != nil || v.TLSOCSPPeer || v.PinnedFails != 0 {
		t.Errorf("without: %+v %+v", v.Proxies, v.OCSPCache)
	}
	o = newOptions(func(c *config.Config) {
		c.Auth.TrustedProxies = []string{"UONE", "UTWO"}
		c.Client.TLS = asks()
		c.LeafNodes = &config.LeafNodes{TLS: asks(), Remotes: []config.LeafRemote{{TLS: asks()}, {}}}
		c.OCSPCache.Type = config.OCSPCacheLocal
	})
	o.TLS, o.Hooks.PinnedFails = k, func() uint64 { return 3 }
	v := monitor.NewReports(o).Varz()
	if v.Proxies == nil || len(v.Proxies.Trusted) != 2 || v.Proxies.Trusted[1].Key != "UTWO" || v.PinnedFails != 3 {
		t.Errorf("proxies %+v, pinned_account_fails %d", v.Proxies, v.PinnedFails)
	}
	if v.OCSPCache == nil || *v.OCSPCache != (monitor.OCSPCacheVarz{Type: "local"}) {
		t.Errorf("ocsp_peer_cache %+v", v.OCSPCache)
	}
	if !v.TLSOCSPPeer || !v.Leaf.TLSOCSPPeer || len(v.Leaf.Remotes) != 2 || !v.Leaf.Remotes[0].TLSOCSPPeer || v.Leaf.Remotes[1].TLSOCSPPeer {
		t.Errorf("tls_ocsp_peer_verify %v, leaf %+v", v.TLSOCSPPeer, v.Leaf)
	}
}
