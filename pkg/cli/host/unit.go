package host

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unitDirs in systemd's order: the first that has the file wins.
func unitDirs() []string {
	return []string{"etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"}
}

// unit is what the [Service] section says, drop-ins included.
type unit struct {
	name   string
	values map[string][]string
}

// readUnit returns nil when the machine has no such unit.
func readUnit(m *Machine, name string) *unit {
	if name == "" || m.Files == nil {
		return nil
	}
	u := &unit{name: name, values: map[string][]string{}}
	found := false
	for _, dir := range unitDirs() {
		if text, ok := m.read(path.Join(dir, name)); ok {
			u.parse(text)
			found = true
			break
		}
	}
	if !found {
		return nil
	}
	// Drop-ins of all directories in the order of their names; of one name the first counts.
	dropIns := map[string]string{}
	var names []string
	for _, dir := range unitDirs() {
		list, _ := fs.Glob(m.Files, path.Join(dir, name+".d", "*.conf"))
		for _, f := range list {
			if _, known := dropIns[path.Base(f)]; !known {
				dropIns[path.Base(f)] = f
				names = append(names, path.Base(f))
			}
		}
	}
	slices.Sort(names)
	for _, n := range names {
		text, _ := m.read(dropIns[n])
		u.parse(text)
	}
	return u
}

func (u *unit) parse(text string) {
	section := ""
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			section = line
		case section == "[Service]":
			key, value, _ := strings.Cut(line, "=")
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			if value == "" {
				delete(u.values, key) // an empty value forgets what was there
			} else {
				u.values[key] = append(u.values[key], value)
			}
		}
	}
}

// get is the last value of a setting, or what holds without one.
func (u *unit) get(key, without string) string {
	if v := u.values[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return without
}

func (u *unit) yes(key string) bool {
	switch strings.ToLower(u.get(key, "")) {
	case "1", "yes", "true", "on":
		return true
	}
	return false
}

// words are those of all values of a setting.
func (u *unit) words(key string) []string {
	return strings.Fields(strings.Join(u.values[key], " "))
}

// env is a variable that the unit sets, by Environment= or a file. hidden names a file that only
// others can read.
func (u *unit) env(m *Machine, name string) (value, hidden string) {
	for _, w := range u.words("Environment") {
		if v, ok := strings.CutPrefix(strings.Trim(w, `"'`), name+"="); ok {
			value = v
		}
	}
	for _, f := range u.words("EnvironmentFile") {
		f = strings.TrimPrefix(f, "-")
		text, err := fs.ReadFile(m.Files, strings.TrimPrefix(f, "/"))
		if errors.Is(err, fs.ErrPermission) {
			hidden = f
		}
		for line := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
				value = strings.Trim(v, `"'`)
			}
		}
	}
	return value, hidden
}

// span reads a time span as systemd writes them: 150, 2min 30s, infinity (forever).
func span(text string) (time.Duration, bool) {
	const forever = time.Duration(1<<63 - 1)
	if text == "infinity" {
		return forever, true
	}
	units := map[string]time.Duration{
		"": time.Second, "us": time.Microsecond, "usec": time.Microsecond, "ms": time.Millisecond, "msec": time.Millisecond,
		"s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
		"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
		"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	}
	var sum time.Duration
	rest := strings.ReplaceAll(text, " ", "")
	for rest != "" {
		n := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		value, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil {
			return 0, false
		}
		rest = rest[n:]
		n = len(rest) - len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))
		scale, ok := units[rest[:n]]
		if !ok {
			return 0, false
		}
		sum += time.Duration(value * float64(scale))
		rest = rest[n:]
	}
	return sum, text != ""
}

// size reads a size as systemd writes them: 512M, 80% of all, infinity; 0 and false is no limit.
func size(text string, all uint64) (uint64, bool) {
	if text == "" || text == "infinity" {
		return 0, false
	}
	if p, ok := strings.CutSuffix(text, "%"); ok {
		n, err := strconv.ParseFloat(p, 64)
		return uint64(n / 100 * float64(all)), err == nil && all > 0
	}
	shift := strings.IndexByte("KMGT", text[len(text)-1])
	if shift >= 0 {
		text = text[:len(text)-1]
	}
	n, err := strconv.ParseFloat(text, 64)
	return uint64(n * float64(uint64(1)<<(10*(shift+1)))), err == nil
}
