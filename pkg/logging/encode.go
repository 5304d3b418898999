package logging

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"unicode/utf8"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

const timeLayout = "2006/01/02 15:04:05.000000"

// label and its colour in the text layout.
func label(l zapcore.Level) (name, color string) {
	switch {
	case l <= TraceLevel:
		return "TRC", "33"
	case l == zapcore.DebugLevel:
		return "DBG", "36"
	case l == zapcore.InfoLevel:
		return "INF", "32"
	case l == zapcore.WarnLevel:
		return "WRN", "0;93"
	case l == zapcore.ErrorLevel:
		return "ERR", "31"
	default:
		return "FTL", "31"
	}
}

// textEncoder writes "[pid] time [LVL] prefix - text key=value". The embedded
// encoder makes it a zapcore.Encoder; fields never go through it.
type textEncoder struct {
	zapcore.Encoder
	pool             buffer.Pool
	pid              string
	time, utc, color bool
	bare             bool // the text alone
}

func newTextEncoder(pid int, time, utc, color bool) *textEncoder {
	return &textEncoder{
		Encoder: zapcore.NewJSONEncoder(zapcore.EncoderConfig{}),
		pool:    buffer.NewPool(),
		pid:     "[" + strconv.Itoa(pid) + "] ",
		time:    time, utc: utc, color: color,
	}
}

func (t *textEncoder) Clone() zapcore.Encoder {
	c := *t
	c.Encoder = t.Encoder.Clone()
	return &c
}

func (t *textEncoder) EncodeEntry(e zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	b := t.pool.Get()
	if !t.bare {
		t.appendHead(b, e)
	}
	if e.LoggerName != "" {
		appendClean(b, e.LoggerName)
		b.AppendString(" - ")
	}
	appendClean(b, e.Message)
	for _, f := range fields {
		m := zapcore.NewMapObjectEncoder()
		f.AddTo(m)
		for k, v := range m.Fields {
			b.AppendByte(' ')
			appendClean(b, k)
			b.AppendByte('=')
			appendClean(b, fmt.Sprint(v))
		}
	}
	b.AppendByte('\n')
	return b, nil
}

// appendHead writes "[pid] time [LVL] ".
func (t *textEncoder) appendHead(b *buffer.Buffer, e zapcore.Entry) {
	b.AppendString(t.pid)
	if t.time {
		at := e.Time
		if t.utc {
			at = at.UTC()
		}
		b.AppendTime(at, timeLayout)
		b.AppendByte(' ')
	}
	name, color := label(e.Level)
	b.AppendByte('[')
	if t.color {
		b.AppendString("\x1b[" + color + "m" + name + "\x1b[0m")
	} else {
		b.AppendString(name)
	}
	b.AppendString("] ")
}

// appendClean escapes control characters; a tab is harmless.
func appendClean(b *buffer.Buffer, s string) {
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != 0x7f || c == '\t' {
			// The C1 controls (U+0080 to U+009F) drive terminals too.
			if c != 0xc2 || i+1 >= len(s) || s[i+1] < 0x80 || s[i+1] > 0x9f {
				continue
			}
			b.AppendString(s[from:i])
			r, n := utf8.DecodeRuneInString(s[i:])
			fmt.Fprintf(b, `\u%04x`, r)
			i += n - 1
			from = i + 1
			continue
		}
		b.AppendString(s[from:i])
		switch c {
		case '\n':
			b.AppendString(`\n`)
		case '\r':
			b.AppendString(`\r`)
		default:
			fmt.Fprintf(b, `\x%02x`, c)
		}
		from = i + 1
	}
	b.AppendString(s[from:])
}

func newJSONEncoder(pid int, utc bool) zapcore.Encoder {
	enc := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey:    "time",
		LevelKey:   "level",
		NameKey:    "conn",
		MessageKey: "msg",
		EncodeTime: zapcore.TimeEncoderOfLayout("2006-01-02T15:04:05.000000Z07:00"),
		EncodeLevel: func(l zapcore.Level, a zapcore.PrimitiveArrayEncoder) {
			name, _ := label(l)
			a.AppendString(jsonLevel(name))
		},
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeName:     zapcore.FullNameEncoder,
		LineEnding:     "\n",
	})
	enc.AddInt("pid", pid)
	if utc {
		return utcEncoder{enc}
	}
	return enc
}

// jsonLevel spells levels as log collectors know them.
func jsonLevel(name string) string {
	switch name {
	case "TRC":
		return "trace"
	case "DBG":
		return "debug"
	case "INF":
		return "info"
	case "WRN":
		return "warn"
	case "ERR":
		return "error"
	}
	return "fatal"
}

type utcEncoder struct{ zapcore.Encoder }

func (u utcEncoder) Clone() zapcore.Encoder { return utcEncoder{u.Encoder.Clone()} }

func (u utcEncoder) EncodeEntry(e zapcore.Entry, f []zapcore.Field) (*buffer.Buffer, error) {
	e.Time = e.Time.UTC()
	return u.Encoder.EncodeEntry(e, f)
}

func isCharDevice(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}
