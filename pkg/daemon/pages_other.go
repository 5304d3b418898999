//go:build !linux

package daemon

// dropCode does nothing: see pages_linux.go.
func dropCode() {}
