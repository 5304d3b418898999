package leaf

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func anyPolicy(t *rapid.T) policy {
	base := time.Duration(rapid.Int64Range(1, int64(10*time.Second)).Draw(t, "base"))
	return policy{
		base: base, max: base * time.Duration(rapid.Int64Range(1, 100).Draw(t, "max")),
		spread: time.Duration(rapid.Int64Range(1, int64(2*time.Minute)).Draw(t, "spread")),
	}
}

func anyAttempt(t *rapid.T) attempt {
	a := attempt{
		cause: rapid.SampledFrom([]cause{causeLost, causeDial, causeRefused, causeBusy, causeMoved}).Draw(t, "cause"),
		up:    time.Duration(rapid.Int64Range(0, int64(3*time.Minute)).Draw(t, "up")),
	}
	if rapid.IntRange(0, 4).Draw(t, "hinted") == 0 {
		a.retry = time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "retry"))
		a.spread = time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "spread hint"))
	}
	return a
}

// Whatever happened before, each pause is within the bounds that its cause gives, and the
// bounds follow from the failures in a row alone.
func TestBackoffBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPolicy(t)
		var low, high backoff
		failures, refusals := 0, 0 // naive count
		for range rapid.IntRange(1, 40).Draw(t, "attempts") {
			a := anyAttempt(t)
			least := low.next(p, a, func(time.Duration) time.Duration { return 0 })
			most := high.next(p, a, func(n time.Duration) time.Duration { return n })
			if a.up >= time.Minute {
				failures, refusals = 0, 0
			}
			if a.cause != causeRefused {
				refusals = 0
			}
			wantLeast, wantMost := time.Duration(0), time.Duration(0)
			switch {
			case a.retry > 0 || a.spread > 0 || a.cause == causeBusy:
				spread := p.spread
				if a.spread > 0 {
					spread = a.spread
				}
				wantLeast = min(a.retry, 15*time.Minute)
				wantMost = wantLeast + min(spread, 15*time.Minute)
			case a.cause == causeMoved:
				wantMost = p.base
			case a.cause == causeRefused:
				refusals++
				wantLeast = 30 * time.Second
				wantMost = min(30*time.Second<<min(refusals, 10), 15*time.Minute)
			case a.up >= time.Minute:
				wantMost = p.spread
			default:
				wantMost = p.max
				if failures < 20 && p.base<<failures < p.max {
					wantMost = p.base << failures
				}
				failures++
			}
			if least != wantLeast || most != wantMost {
				t.Fatalf("%+v after %d failures and %d refusals: between %s and %s, want %s and %s",
					a, failures, refusals, least, most, wantLeast, wantMost)
			}
		}
	})
}

// A fleet that loses its hub in one moment comes back spread over the whole time, and stays
// spread when the first attempts fail.
func TestBackoffNoLockStep(t *testing.T) {
	const fleet, buckets = 20000, 20
	p := policy{base: time.Second, max: time.Minute, spread: 30 * time.Second}
	src := rand.New(rand.NewPCG(1, 2))
	uniform := func(n time.Duration) time.Duration { return time.Duration(src.Int64N(int64(n) + 1)) }
	edges := make([]backoff, fleet)
	busiest := func(a attempt, over time.Duration) (share float64) {
		var count [buckets]int
		for i := range edges {
			d := edges[i].next(p, a, uniform)
			if d < 0 || d > over {
				t.Fatalf("%s is not within %s", d, over)
			}
			count[min(int(int64(d)*buckets/int64(over)), buckets-1)]++
		}
		for i, n := range count {
			if n == 0 {
				t.Errorf("nobody comes back in part %d of %d", i, buckets)
			}
			share = max(share, float64(n)/fleet)
		}
		return share
	}
	// Uniform is a twentieth for each part.
	if s := busiest(attempt{cause: causeLost, up: time.Hour}, p.spread); s > 0.06 {
		t.Errorf("%.3f of a fleet come back in one twentieth of the spread", s)
	}
	for i, over := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
		if s := busiest(attempt{cause: causeDial}, over); s > 0.06 {
			t.Errorf("attempt %d: %.3f in one twentieth", i, s)
		}
	}
	hinted := attempt{cause: causeLost, up: time.Hour, spread: 2 * time.Minute}
	if s := busiest(hinted, 2*time.Minute); s > 0.06 {
		t.Errorf("hub's hint: %.3f in one twentieth", s)
	}
}

// Two edges that were refused in the same moment do not try in step for ever.
func TestBackoffRefusedDrifts(t *testing.T) {
	p := policy{base: time.Second, max: time.Minute, spread: 5 * time.Second}
	var a, b backoff
	atA, atB := time.Duration(0), time.Duration(0)
	together := 0
	for range 50 {
		atA += a.next(p, attempt{cause: causeRefused}, random)
		atB += b.next(p, attempt{cause: causeRefused}, random)
		if d := atA - atB; d < time.Second && d > -time.Second {
			together++
		}
	}
	if together > 10 {
		t.Errorf("two edges were within a second of each other in %d of 50 attempts", together)
	}
}
