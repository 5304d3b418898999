package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/banyanmq/banyan/scripts/pack/rootfs"
	"github.com/banyanmq/banyan/scripts/pack/sbom"
)

const bundle = "golang.org/x/crypto/x509roots/fallback"

// dataOf says where the files of the base come from that somebody may have to replace.
func dataOf(base rootfs.Tree, goroot string) ([]sbom.Data, error) {
	var authorities []byte
	for _, e := range base {
		if e.Path == "etc/ssl/certs/ca-certificates.crt" {
			authorities = e.Data
		}
	}
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == bundle {
				version = d.Version
			}
		}
	}
	zones, err := os.ReadFile(filepath.Join(goroot, "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	release, err := os.ReadFile(filepath.Join(goroot, "VERSION"))
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	name, _, _ := bytes.Cut(release, []byte("\n"))
	return []sbom.Data{
		{Name: "ca-certificates", Version: version, From: "authorities of " + bundle, SHA256: sum(authorities)},
		{Name: "tzdata", Version: string(name), From: "time zones of the Go release", SHA256: sum(zones)},
	}, nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
