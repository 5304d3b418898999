//go:build !linux

package main

import (
	"fmt"
	"os"
)

// The sockets are waited for by epoll and the CPU is read from Linux's process clocks.
func main() {
	fmt.Fprintln(os.Stderr, "bench: needs Linux")
	os.Exit(2)
}
