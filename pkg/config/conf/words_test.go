package conf

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// The words that are numbers, sizes and dates are those that these patterns say.
func TestWordsAreWhatTheirPatternsSay(t *testing.T) {
	integer, float := regexp.MustCompile(`^-?[0-9]+$`), regexp.MustCompile(`^-?[0-9]+\.[0-9]+$`)
	date, size := regexp.MustCompile(`^[0-9]+-`), regexp.MustCompile(`^(-?[0-9]+)([kmgtpeKMGTPE])([bB]|[iI]|[iI][bB])?$`)
	rapid.Check(t, func(t *rapid.T) {
		w := rapid.StringMatching(`-?-?[0-9]{0,3}[-.kKmeEx]?[0-9]{0,2}[iIbBx]{0,3}`).Draw(t, "word")
		if got := integerWord(w); got != integer.MatchString(w) {
			t.Errorf("integer %q: %v", w, got)
		}
		if got := floatWord(w); got != float.MatchString(w) {
			t.Errorf("float %q: %v", w, got)
		}
		if got := dateStart(w); got != date.MatchString(w) {
			t.Errorf("date %q: %v", w, got)
		}
		m := size.FindStringSubmatch(w)
		number, power, binary, ok := sizeWord(w)
		if ok != (m != nil) || ok && (number != m[1] || string(power) != m[2] || binary != (m[3] != "")) {
			t.Errorf("size %q: %q %q %v %v, want %q", w, number, power, binary, ok, m)
		}
	})
}
