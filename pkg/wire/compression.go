package wire

import (
	"fmt"
	"strings"
	"time"
)

// CompressionMode is a mode of S2 on a route or leaf link, as settings and INFO spell it
// (cluster-routes 11.1, leafnodes 7).
type CompressionMode string

// The modes. Auto is a wish: the writer runs at one of the S2 levels by RTT.
const (
	CompressionNotSupported   CompressionMode = "not supported" // as a server without the feature
	CompressionOff            CompressionMode = "off"           // refuse
	CompressionAccept         CompressionMode = "accept"        // follow the peer
	CompressionS2Auto         CompressionMode = "s2_auto"
	CompressionS2Uncompressed CompressionMode = "s2_uncompressed" // framing with stored blocks
	CompressionS2Fast         CompressionMode = "s2_fast"
	CompressionS2Better       CompressionMode = "s2_better"
	CompressionS2Best         CompressionMode = "s2_best"
)

// Compresses reports whether the writer uses S2 framing.
func (m CompressionMode) Compresses() bool {
	switch m {
	case CompressionS2Auto, CompressionS2Uncompressed, CompressionS2Fast, CompressionS2Better, CompressionS2Best:
		return true
	}
	return false
}

// ParseCompression reads a mode from a settings file. on is what the spellings
// `on`, `true` and `enabled` stand for: CompressionS2Fast on routes,
// CompressionS2Auto on leaf links.
func ParseCompression(s string, on CompressionMode) (CompressionMode, error) {
	switch strings.ToLower(s) {
	case "not supported", "not_supported":
		return CompressionNotSupported, nil
	case "off", "disabled", "false":
		return CompressionOff, nil
	case "accept":
		return CompressionAccept, nil
	case "on", "enabled", "true":
		return on, nil
	case "s2_auto", "auto":
		return CompressionS2Auto, nil
	case "s2_fast", "fast":
		return CompressionS2Fast, nil
	case "s2_better", "better":
		return CompressionS2Better, nil
	case "s2_best", "best":
		return CompressionS2Best, nil
	}
	return "", fmt.Errorf("unsupported compression mode %q: use off, accept, s2_auto, s2_fast, s2_better or s2_best", s)
}

// SelectCompression gives the mode of our own writer from the configured mode and the one that
// the peer's INFO announced ("" from peers without the feature). Where both are
// s2_auto the result is s2_auto, to be resolved by [CompressionForRTT]. An unknown mode of
// the peer is a *ProtoError with the text for -ERR.
func SelectCompression(own, remote CompressionMode) (CompressionMode, error) {
	if own == CompressionNotSupported || own == "" {
		return CompressionNotSupported, nil
	}
	switch remote {
	case "", CompressionNotSupported:
		return CompressionNotSupported, nil
	case CompressionOff:
		return CompressionOff, nil
	case CompressionAccept:
		if own == CompressionAccept {
			return CompressionOff, nil
		}
		return own, nil
	case CompressionS2Auto:
		if own == CompressionAccept {
			return CompressionS2Fast, nil
		}
		return own, nil
	case CompressionS2Uncompressed, CompressionS2Fast, CompressionS2Better, CompressionS2Best:
		if own == CompressionAccept {
			return remote, nil
		}
		return own, nil
	}
	return "", &ProtoError{Text: TextUnsupportedCompression(string(remote)), Reason: ReasonProtocolViolation}
}

// DefaultRTTThresholds are the limits between the levels of s2_auto.
func DefaultRTTThresholds() []time.Duration {
	return []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond}
}

// rttLevels: the level used up to the threshold at the same index.
var rttLevels = [4]CompressionMode{
	CompressionS2Uncompressed, CompressionS2Fast, CompressionS2Better, CompressionS2Best,
}

// CheckRTTThresholds checks a configured list and gives it without trailing zeros.
// A zero disables the level at its place.
func CheckRTTThresholds(list []time.Duration) ([]time.Duration, error) {
	end := len(list)
	for end > 0 && list[end-1] == 0 {
		end--
	}
	trimmed := list[:end]
	var last time.Duration
	for _, t := range trimmed {
		if t < 0 || (t != 0 && t < last) {
			return nil, fmt.Errorf("RTT threshold values %v should be in ascending order", list)
		}
		if t != 0 {
			last = t
		}
	}
	if len(trimmed) > len(rttLevels) {
		return nil, fmt.Errorf("compression mode %q should have no more than %d RTT thresholds: %v",
			CompressionS2Auto, len(rttLevels), list)
	}
	if len(trimmed) == 0 {
		return nil, fmt.Errorf("compression mode %q requires at least one RTT threshold", CompressionS2Auto)
	}
	return trimmed, nil
}

// CompressionForRTT resolves s2_auto: the level of the first threshold that is not below rtt.
// Above all of them it is s2_best if three or more are listed, else the last listed level.
func CompressionForRTT(rtt time.Duration, thresholds []time.Duration) CompressionMode {
	best := CompressionS2Uncompressed
	for i, t := range thresholds {
		if i >= len(rttLevels) {
			break
		}
		if t == 0 {
			continue
		}
		if rtt <= t {
			return rttLevels[i]
		}
		best = rttLevels[i]
	}
	if len(thresholds) >= 3 {
		return CompressionS2Best
	}
	return best
}
