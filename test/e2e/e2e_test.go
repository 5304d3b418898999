//go:build linux

package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/banyanmq/banyan/test/e2e/scenario"
	"github.com/banyanmq/banyan/test/procs"
)

// bins are built once for all tests.
var bins *procs.Binaries

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "banyan-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bins = procs.NewBinaries(dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func TestMixedEstates(t *testing.T) { scenario.Mixed(t, bins, 4000) }
