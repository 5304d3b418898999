package main

import "runtime"

// nativeArch is Debian's name for the machine that this runs on.
func nativeArch() string {
	if runtime.GOARCH == "arm" {
		return "armhf"
	}
	return runtime.GOARCH
}
