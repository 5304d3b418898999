package cli

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
)

// output holds the flags that say how messages are printed.
type output struct {
	json      bool
	raw       bool
	headers   bool
	delimiter string
}

func (o *output) register(cmd *cobra.Command) {
	f := cmd.Flags()
	addSwitch(f, &o.json, "json", "j", "one JSON object a line")
	addSwitch(f, &o.raw, "raw", "r", "the payload's bytes alone")
	addSwitch(f, &o.headers, "show-headers", "", "print headers before the payload, each on a line of its own")
	f.StringVar(&o.delimiter, "delimiter", `\n`, `what follows each payload with --raw; \n, \t and \0 are known`)
}

func (o *output) check() error {
	if o.json && o.raw {
		return usagef("--json and --raw exclude each other")
	}
	o.delimiter = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\0`, "\x00").Replace(o.delimiter)
	return nil
}

const outputHelp = `A message is printed as its subject, a tab, and its payload, one line each.
Control characters are shown as escapes; --raw writes the bytes as they came,
--json one object with subject, reply, headers and data (data_base64 when the
payload is not UTF-8).`

// jsonMessage is a message as --json prints it.
type jsonMessage struct {
	Subject string              `json:"subject"`
	Reply   string              `json:"reply,omitempty"`
	Headers map[string][]string `json:"headers,omitempty"`
	Data    *string             `json:"data,omitempty"`
	Base64  string              `json:"data_base64,omitempty"`
	Size    int                 `json:"size"`
	Time    time.Time           `json:"time"`
	RTT     float64             `json:"rtt_ms,omitempty"`
}

// write prints one message. rtt is 0 where there is none.
func (o *output) write(w *bufio.Writer, m *nats.Msg, rtt time.Duration) error {
	switch {
	case o.json:
		j := jsonMessage{Subject: m.Subject, Reply: m.Reply, Headers: m.Header, Size: len(m.Data),
			Time: time.Now().UTC(), RTT: float64(rtt) / float64(time.Millisecond)}
		if utf8.Valid(m.Data) {
			s := string(m.Data)
			j.Data = &s
		} else {
			j.Base64 = base64.StdEncoding.EncodeToString(m.Data)
		}
		return writeJSONLine(w, j)
	case o.raw:
		if _, err := w.Write(m.Data); err != nil {
			return err
		}
		_, err := w.WriteString(o.delimiter)
		return err
	}
	if o.headers {
		for _, k := range slices.Sorted(maps.Keys(m.Header)) {
			for _, v := range m.Header[k] {
				fmt.Fprintf(w, "%s\t%s: %s\n", clean(m.Subject), clean(k), clean(v))
			}
		}
	}
	_, err := fmt.Fprintf(w, "%s\t%s\n", clean(m.Subject), clean(string(m.Data)))
	return err
}

func writeJSONLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// clean shows control characters and bytes that are not UTF-8 as escapes, so
// that a message is one line and cannot drive a terminal.
func clean(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case unprintable(r) && r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case unprintable(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		s = s[n:]
	}
	return b.String()
}

// unprintable includes the characters that change the direction of text.
func unprintable(r rune) bool {
	return r != '\t' && unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
