//go:build soak && linux

package soak

import (
	"testing"

	"github.com/banyanmq/banyan/test/e2e/scenario"
)

// Our servers and reference servers together: messages both ways, queue groups, requests, nothing twice.
func TestMixedEstates(t *testing.T) { scenario.Mixed(t, bins, setting(t, "SOAK_COUNT", 100_000)) }
