package config

import (
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkLoad is what a start and a reload pay.
func BenchmarkLoad(b *testing.B) {
	for name, text := range map[string]string{
		"small.conf": "listen: 127.0.0.1:4222\nhttp: 127.0.0.1:8222\n",
		"hubd.yaml":  "clients: {listen: 127.0.0.1:4222}\nmonitor: {listen: 127.0.0.1:8222}\ncluster: {name: c, listen: 127.0.0.1:6222}\nleafs: {listen: 127.0.0.1:7422}\n",
	} {
		b.Run(name, func(b *testing.B) {
			file := filepath.Join(b.TempDir(), name)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Load(LoadOptions{Daemon: Hubd, File: file, Env: []string{"PATH=/bin", "HOME=/root"}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
