//go:build !linux

package leaf

import (
	"net"
	"time"
)

// keepAlive makes the kernel notice a path that is dead while nothing is sent.
func keepAlive(nc net.Conn) {
	if t, ok := nc.(*net.TCPConn); ok {
		t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepIdle, Interval: keepEvery, Count: 3})
	}
}

func kernelRTT(net.Conn) time.Duration { return 0 }
