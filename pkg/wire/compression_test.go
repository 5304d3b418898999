package wire

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestParseCompression(t *testing.T) {
	for in, want := range map[string]CompressionMode{
		"not supported": CompressionNotSupported, "not_supported": CompressionNotSupported,
		"off": CompressionOff, "disabled": CompressionOff, "False": CompressionOff, "accept": CompressionAccept,
		"s2_fast": CompressionS2Fast, "fast": CompressionS2Fast, "better": CompressionS2Better, "S2_BEST": CompressionS2Best,
		"auto": CompressionS2Auto, "s2_auto": CompressionS2Auto,
	} {
		if got, err := ParseCompression(in, CompressionS2Fast); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, on := range []CompressionMode{CompressionS2Fast, CompressionS2Auto} {
		for _, in := range []string{"on", "enabled", "true"} {
			if got, err := ParseCompression(in, on); got != on || err != nil {
				t.Errorf("%q: %q, %v", in, got, err)
			}
		}
	}
	for _, in := range []string{"", "zstd", "s2_uncompressed"} {
		if got, err := ParseCompression(in, CompressionS2Fast); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestSelectCompression(t *testing.T) {
	const (
		none, off, accept, auto           = CompressionNotSupported, CompressionOff, CompressionAccept, CompressionS2Auto
		uncompressed, fast, better, best_ = CompressionS2Uncompressed, CompressionS2Fast, CompressionS2Better, CompressionS2Best
	)
	remotes := []CompressionMode{"", none, off, accept, auto, uncompressed, fast, better, best_}
	for own, want := range map[CompressionMode][]CompressionMode{
		none:   {none, none, none, none, none, none, none, none, none},
		off:    {none, none, off, off, off, off, off, off, off},
		accept: {none, none, off, off, fast, uncompressed, fast, better, best_},
		auto:   {none, none, off, auto, auto, auto, auto, auto, auto},
		fast:   {none, none, off, fast, fast, fast, fast, fast, fast},
		best_:  {none, none, off, best_, best_, best_, best_, best_, best_},
	} {
		for i, remote := range remotes {
			if got, err := SelectCompression(own, remote); got != want[i] || err != nil {
				t.Errorf("own %q, remote %q: %q, %v, want %q", own, remote, got, err, want[i])
			}
		}
	}
	var pe *ProtoError
	if _, err := SelectCompression(accept, "zstd"); !errors.As(err, &pe) ||
		pe.Text != `unsupported route compression mode "zstd"` || pe.Reason != ReasonProtocolViolation {
		t.Errorf("unknown mode: %v", err)
	}
	// Whether S2 is on must look the same from both ends: their readers switch on it.
	for _, a := range remotes[1:] {
		for _, b := range remotes[1:] {
			mine, _ := SelectCompression(a, b)
			theirs, _ := SelectCompression(b, a)
			if mine.Compresses() != theirs.Compresses() {
				t.Errorf("%q and %q: %q but %q", a, b, mine, theirs)
			}
		}
	}
}

func TestCompressionForRTT(t *testing.T) {
	ms := func(list ...int) []time.Duration {
		var d []time.Duration
		for _, m := range list {
			d = append(d, time.Duration(m)*time.Millisecond)
		}
		return d
	}
	for _, tc := range []struct {
		rtt        int
		thresholds []time.Duration
		want       CompressionMode
	}{
		{0, DefaultRTTThresholds(), CompressionS2Uncompressed},
		{10, DefaultRTTThresholds(), CompressionS2Uncompressed},
		{11, DefaultRTTThresholds(), CompressionS2Fast},
		{50, DefaultRTTThresholds(), CompressionS2Fast},
		{100, DefaultRTTThresholds(), CompressionS2Better},
		{101, DefaultRTTThresholds(), CompressionS2Best},
		{9999, ms(10), CompressionS2Uncompressed},
		{9999, ms(10, 50), CompressionS2Fast},
		{9999, ms(10, 50, 100, 200), CompressionS2Best},
		{1, ms(0, 50, 100), CompressionS2Fast},
		{20, ms(10, 0, 100), CompressionS2Better},
		{9999, ms(0, 50), CompressionS2Fast},
	} {
		if got := CompressionForRTT(time.Duration(tc.rtt)*time.Millisecond, tc.thresholds); got != tc.want {
			t.Errorf("%d ms of %v: %s, want %s", tc.rtt, tc.thresholds, got, tc.want)
		}
	}
	for _, tc := range []struct {
		in, want []time.Duration
		err      string
	}{
		{ms(10, 50, 100), ms(10, 50, 100), ""},
		{ms(10, 50, 0, 0), ms(10, 50), ""},
		{ms(0, 50, 0, 100), ms(0, 50, 0, 100), ""},
		{ms(1, 2, 3, 4, 0), ms(1, 2, 3, 4), ""},
		{ms(50, 10), nil, "RTT threshold values [50ms 10ms] should be in ascending order"},
		{ms(50, 0, 10), nil, "RTT threshold values [50ms 0s 10ms] should be in ascending order"},
		{ms(-1), nil, "RTT threshold values [-1ms] should be in ascending order"},
		{ms(1, 2, 3, 4, 5), nil, `compression mode "s2_auto" should have no more than 4 RTT thresholds: [1ms 2ms 3ms 4ms 5ms]`},
		{ms(0, 0), nil, `compression mode "s2_auto" requires at least one RTT threshold`},
		{nil, nil, `compression mode "s2_auto" requires at least one RTT threshold`},
	} {
		got, err := CheckRTTThresholds(tc.in)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if !slices.Equal(got, tc.want) || text != tc.err {
			t.Errorf("%v: %v, %q, want %q", tc.in, got, text, tc.err)
		}
	}
}
