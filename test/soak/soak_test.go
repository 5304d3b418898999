//go:build soak && linux

package soak

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/banyanmq/banyan/test/procs"
)

// bins are built once for all tests.
var bins *procs.Binaries

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "banyan-soak-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bins = procs.NewBinaries(dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// setting reads a number from the environment.
func setting(t testing.TB, name string, standard int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return standard
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s=%q is not a number", name, s)
	}
	return n
}

// span reads a duration from the environment.
func span(t testing.TB, name string, standard time.Duration) time.Duration {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return standard
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("%s=%q is not a duration such as 90s or 30m", name, s)
	}
	return d
}
