package config

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// readPort reads a port; it has a reader of its own for the range.
func readPort(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind != conf.Integer {
		d.errorf(v.Pos, path, "want integer, got %s", v.Describe())
		return nil, false
	}
	return d.port(path, v.Pos, v.Int)
}

// atLeast reads an integer that is not below low.
func atLeast(low int64) reader {
	return func(d *decoder, path string, v *conf.Value) (any, bool) {
		if v.Kind != conf.Integer {
			d.errorf(v.Pos, path, "want integer, got %s", v.Describe())
			return nil, false
		}
		if v.Int < low || v.Int != int64(int32(v.Int)) {
			d.errorf(v.Pos, path, "%d is out of range: want %d or more", v.Int, low)
			return nil, false
		}
		return int(v.Int), true
	}
}

func readSubTokens(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind != conf.Integer {
		d.errorf(v.Pos, path, "want integer, got %s", v.Describe())
		return nil, false
	}
	if v.Int < 0 || v.Int > 255 {
		d.errorf(v.Pos, path, "%d is out of range: want 1 to 255, or 0 for no limit", v.Int)
		return nil, false
	}
	return int(v.Int), true
}

func readPayload(d *decoder, path string, v *conf.Value) (any, bool) {
	n, ok := d.size(nil, path, v)
	if ok && n.(int64) > 1<<31-1 {
		d.errorf(v.Pos, path, "max_payload value is too big")
		return nil, false
	}
	return n, ok
}

func readControlLine(d *decoder, path string, v *conf.Value) (any, bool) {
	n, ok := d.size(nil, path, v)
	if !ok {
		return nil, false
	}
	if size := n.(int64); size < 1 || size > 1<<31-1 {
		d.errorf(v.Pos, path, "max_control_line %d is out of range: want 1 to 2147483647", size)
		return nil, false
	}
	return int(n.(int64)), true
}

// readName reads a name that may hold no spaces.
func readName(message string) reader {
	return func(d *decoder, path string, v *conf.Value) (any, bool) {
		if v.Kind != conf.String {
			d.errorf(v.Pos, path, "want string, got %s; put it in quotes", v.Describe())
			return nil, false
		}
		if strings.ContainsAny(v.Str, " \t\r\n") {
			d.errorf(v.Pos, path, "%s", message)
			return nil, false
		}
		if v.Str == "$GW" || v.Str == "$Q" {
			d.errorf(v.Pos, path, "the name %q is reserved; choose another", v.Str)
			return nil, false
		}
		return v.Str, true
	}
}

// compressionWords are the spellings of the modes; "on" depends on the kind of link.
var compressionWords = map[string]CompressionMode{
	"off": CompressionOff, "disabled": CompressionOff, "false": CompressionOff,
	"accept": CompressionAccept, "not_supported": CompressionNotSupported, "not supported": CompressionNotSupported,
	"s2_fast": CompressionS2Fast, "fast": CompressionS2Fast, "s2_better": CompressionS2Better, "better": CompressionS2Better,
	"s2_best": CompressionS2Best, "best": CompressionS2Best, "s2_auto": CompressionS2Auto, "auto": CompressionS2Auto,
}

func readCompression(on CompressionMode) reader {
	return func(d *decoder, path string, v *conf.Value) (any, bool) {
		word := strings.ToLower(v.Str)
		switch {
		case v.Kind == conf.Bool && v.Bool, v.Kind == conf.String && (word == "on" || word == "enabled" || word == "true"):
			return on, true
		case v.Kind == conf.Bool:
			return CompressionOff, true
		case v.Kind == conf.String:
			if mode, ok := compressionWords[word]; ok {
				return mode, true
			}
			d.errorf(v.Pos, path, "unsupported compression mode %q: want off, accept, s2_fast, s2_better, s2_best or s2_auto", v.Str)
			return nil, false
		}
		d.errorf(v.Pos, path, "want a compression mode, got %s", v.Describe())
		return nil, false
	}
}

// readThresholds reads round trip times, ascending; 0 skips a level.
func readThresholds(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind != conf.Array || len(v.Items) == 0 || len(v.Items) > 4 {
		d.errorf(v.Pos, path, "want a list of one to four durations, got %s", v.Describe())
		return nil, false
	}
	list := make([]time.Duration, 0, len(v.Items))
	last := time.Duration(0)
	for _, it := range v.Items {
		var t time.Duration
		if it.Kind != conf.Integer || it.Int != 0 {
			read, ok := d.duration(&option{kind: kStrictDuration}, path, it)
			if !ok {
				return nil, false
			}
			t = read.(time.Duration)
		}
		if t < 0 || t != 0 && t <= last {
			d.errorf(it.Pos, path, "round trip time threshold %v is not above the one before it", t)
			return nil, false
		}
		last = max(last, t)
		list = append(list, t)
	}
	if last == 0 {
		d.errorf(v.Pos, path, "at least one round trip time threshold must be above 0")
		return nil, false
	}
	return list, true
}

func readHandshakeFirst(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind == conf.Bool {
		if v.Bool {
			return HandshakeFirst{Mode: HandshakeOn}, true
		}
		return HandshakeFirst{}, true
	}
	if v.Kind == conf.String {
		switch strings.ToLower(v.Str) {
		case "always", "true", "on":
			return HandshakeFirst{Mode: HandshakeOn}, true
		case "never", "false", "off":
			return HandshakeFirst{}, true
		case "auto", "auto_fallback":
			return HandshakeFirst{HandshakeAuto, DefaultHandshakeFallback}, true
		}
		if t, err := time.ParseDuration(v.Str); err == nil && t > 0 {
			return HandshakeFirst{HandshakeAuto, t}, true
		}
	}
	d.errorf(v.Pos, path, "want never, always, auto or a duration such as 50ms, got %s", v.Describe())
	return nil, false
}

func readTLSVersion(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind == conf.String {
		switch v.Str {
		case "1.2":
			return uint16(tls.VersionTLS12), true
		case "1.3":
			return uint16(tls.VersionTLS13), true
		}
	}
	got := v.Describe()
	if v.Kind == conf.String {
		got = v.Str
	}
	d.errorf(v.Pos, path, `unsupported TLS version: %s; want "1.2" or "1.3" in quotes`, got)
	return nil, false
}

// readNames reads a list of names that convert knows.
func readNames[T any](what string, convert func(string) (T, error)) reader {
	return func(d *decoder, path string, v *conf.Value) (any, bool) {
		read, ok := d.strings(path, v)
		if !ok {
			return nil, false
		}
		var list []T
		for _, name := range read.([]string) {
			t, err := convert(name)
			if err != nil {
				d.errorf(v.Pos, path, "%v", err)
				return nil, false
			}
			list = append(list, t)
		}
		if len(list) == 0 {
			d.errorf(v.Pos, path, "want at least one %s", what)
			return nil, false
		}
		return list, true
	}
}

func cipherSuite(name string) (uint16, error) {
	for _, c := range tls.CipherSuites() {
		if c.Name == name {
			return c.ID, nil
		}
	}
	for _, c := range tls.InsecureCipherSuites() {
		if c.Name == name {
			return c.ID, nil // if allow_insecure_cipher_suites is set as well
		}
	}
	return 0, fmt.Errorf("unrecognized cipher %s", name)
}

var curveNames = map[string]tls.CurveID{
	"X25519MLKEM768": tls.X25519MLKEM768, "X25519": tls.X25519,
	"CurveP256": tls.CurveP256, "CurveP384": tls.CurveP384, "CurveP521": tls.CurveP521,
}

func curve(name string) (tls.CurveID, error) {
	if id, ok := curveNames[name]; ok {
		return id, nil
	}
	return 0, fmt.Errorf("unrecognized curve preference %s; want X25519MLKEM768, X25519, CurveP256, CurveP384 or CurveP521", name)
}

var pinPattern = pattern(`^[0-9a-f]{64}$`)

func pin(text string) (string, error) {
	sum := strings.ToLower(text)
	if !pinPattern().MatchString(sum) {
		return "", fmt.Errorf("error parsing 'pinned_certs' key %s does not look like lower case hex-encoded sha256 of DER encoded SubjectPublicKeyInfo", text)
	}
	return sum, nil
}

// readPair reads a list of {cert_file, key_file}.
func readPairs(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind != conf.Array || len(v.Items) == 0 {
		d.errorf(v.Pos, path, "want a list of pairs of files, got %s", v.Describe())
		return nil, false
	}
	before := len(d.errors)
	var list []Certificate
	for i, it := range v.Items {
		p := fmt.Sprintf("%s[%d]", path, i)
		if it.Kind != conf.Map {
			d.errorf(it.Pos, p, "want a map, got %s", it.Describe())
			continue
		}
		var c Certificate
		d.object(pairScope(), it, p, &c)
		d.checkPair(it.Pos, p, c)
		list = append(list, c)
	}
	return list, len(d.errors) == before
}

func (d *decoder) checkPair(pos conf.Pos, path string, c Certificate) {
	if c.CertFile == "" {
		d.errorf(pos, path, "missing 'cert_file' in TLS configuration")
	}
	if c.KeyFile == "" {
		d.errorf(pos, path, "missing 'key_file' in TLS configuration")
	}
}

var connectionTypes = []ConnectionType{Standard, WebSocket, LeafNode, LeafWS, MQTT, MQTTWS, InProcess}

func readConnectionTypes(d *decoder, path string, v *conf.Value) (any, bool) {
	read, ok := d.strings(path, v)
	if !ok {
		return nil, false
	}
	var list []ConnectionType
	var bad []string
	for _, word := range read.([]string) {
		t := ConnectionType(strings.ToUpper(word))
		if !slices.Contains(connectionTypes, t) {
			bad = append(bad, word)
		}
		list = append(list, t)
	}
	if len(bad) > 0 {
		d.errorf(v.Pos, path, "invalid connection types %q", bad)
		return nil, false
	}
	return list, true
}

// readMetadata reads a map of strings, or in YAML a list of {name, value}.
func readMetadata(d *decoder, path string, v *conf.Value) (any, bool) {
	m := map[string]string{}
	before := len(d.errors)
	put := func(pos conf.Pos, name string, v *conf.Value) {
		if v == nil || v.Kind != conf.String || name == "" {
			d.errorf(pos, path, "want a name and a string as its value")
			return
		}
		m[name] = v.Str
	}
	switch {
	case v.Kind == conf.Map:
		for _, e := range v.Entries {
			put(e.Pos, e.Key, e.Value)
		}
	case v.Kind == conf.Array && d.lang == langYAML:
		for _, it := range v.Items {
			if it.Kind != conf.Map || len(it.Entries) != 2 || it.Get("name") == nil || it.Get("name").Kind != conf.String {
				d.errorf(it.Pos, path, "want {name: ..., value: ...}, got %s", it.Describe())
				continue
			}
			put(it.Pos, it.Get("name").Str, it.Get("value"))
		}
	default:
		d.errorf(v.Pos, path, "want a map of strings, got %s", v.Describe())
	}
	return m, len(d.errors) == before
}

var semver = pattern(`^v?(\d+)\.(\d+)\.(\d+)$`)

func readMinVersion(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind != conf.String || !semver().MatchString(v.Str) {
		d.errorf(v.Pos, path, "want a version such as 2.10.0, got %s", v.Describe())
		return nil, false
	}
	m := semver().FindStringSubmatch(v.Str)
	if len(m[1]) == 1 && (m[1] < "2" || m[1] == "2" && len(m[2]) == 1 && m[2] < "8") {
		d.errorf(v.Pos, path, "the minimum version should be at least 2.8.0")
		return nil, false
	}
	return strings.TrimPrefix(v.Str, "v"), true
}

// readAccount reads the name of an account that must exist.
func readAccount(where string) reader {
	return func(d *decoder, path string, v *conf.Value) (any, bool) {
		if v.Kind != conf.String {
			d.errorf(v.Pos, path, "want string, got %s", v.Describe())
			return nil, false
		}
		d.accounts = append(d.accounts, accountRef{v.Pos, path, v.Str, where})
		return v.Str, true
	}
}

// readSyslog reads the address of a system logger.
func readSyslog(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind != conf.String {
		d.errorf(v.Pos, path, "want string, got %s", v.Describe())
		return nil, false
	}
	u, err := url.Parse(v.Str)
	if v.Str != "" && (err != nil || u.Host == "" && u.Scheme != "unix" || u.Path == "" && u.Scheme == "unix" || !slices.Contains([]string{"udp", "tcp", "unix"}, u.Scheme)) {
		d.errorf(v.Pos, path, "want udp://host:514, tcp://host:514 or unix:///path, got %q", v.Str)
		return nil, false
	}
	return v.Str, true
}
