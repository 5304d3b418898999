package leaf

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// keepAlive makes the kernel notice a path that is dead while nothing is sent, and one on
// which what was sent is not acknowledged (leafnodes 21.7).
func keepAlive(nc net.Conn) {
	t, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepIdle, Interval: keepEvery, Count: 3})
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	// Not all kernels know it; PINGs notice a dead path too, only later.
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unackedLimit.Milliseconds()))
	})
}

// kernelRTT is the round trip that the kernel measured while it connected, 0 if it does not
// tell.
func kernelRTT(nc net.Conn) time.Duration {
	t, ok := nc.(*net.TCPConn)
	if !ok {
		return 0
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return 0
	}
	rtt := time.Duration(0)
	raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			rtt = time.Duration(info.Rtt) * time.Microsecond
		}
	})
	return min(rtt, maxRTT)
}

// maxRTT bounds what a path can add to our patience.
const maxRTT = 3 * time.Second
