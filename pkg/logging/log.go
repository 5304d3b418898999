package logging

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Format is the layout of a line.
type Format string

const (
	FormatText Format = "text" // the default
	FormatJSON Format = "json"
)

// Color says whether the level's label is coloured in the text layout.
type Color int

const (
	ColorAuto  Color = iota // when the destination is a character device
	ColorNever              //
	ColorAlways
)

// Options says where and how to log. The zero value writes text of levels
// INF, WRN, ERR and FTL to stderr, with local time.
type Options struct {
	File   string    // append to this file, mode 0640 when created
	Out    io.Writer // without File; default os.Stderr
	Format Format
	Debug  bool
	Trace  bool
	NoTime bool // no time stamp in the text layout
	UTC    bool
	Color  Color

	// Syslog sends to the local system logger, RemoteSyslog to the one at an
	// address (see [CheckSyslog]). A File stands above both, and the address above
	// the local one. Lines have neither process id nor time nor level: the
	// protocol carries them.
	Syslog       bool
	RemoteSyslog string

	// SizeLimit in bytes: a file that is longer after a write is renamed to
	// FILE.YYYY.MM.DD.HH.MM.SS.nnnnnnnnn and begun anew. 0 never rotates.
	SizeLimit int64
	// MaxFiles bounds the file and its backups together; the oldest backups
	// are removed at rotation. 0 keeps all.
	MaxFiles int

	PID  int              // default os.Getpid()
	Now  func() time.Time // default time.Now
	Exit func(code int)   // what Fatalf calls; default os.Exit

	syslogPaths []string // default localSyslog
}

// Log owns a destination. Many Loggers share it.
type Log struct {
	state  atomic.Pointer[state]
	mu     sync.Mutex // serialises writes, rotation and changes of state
	recent recent
	exit   func(int)
}

// state is immutable but for the sink, which mu guards.
type state struct {
	opts  Options
	level zapcore.Level
	off   bool
	enc   zapcore.Encoder
	sink  *sink
}

// New opens the destination.
func New(o Options) (*Log, error) {
	s, err := newState(o)
	if err != nil {
		return nil, err
	}
	l := &Log{exit: s.opts.Exit}
	l.state.Store(s)
	return l, nil
}

func newState(o Options) (*state, error) {
	if o.PID == 0 {
		o.PID = os.Getpid()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Exit == nil {
		o.Exit = os.Exit
	}
	if o.Out == nil {
		o.Out = os.Stderr
	}
	s := &state{opts: o, level: levelOf(o.Debug, o.Trace)}
	switch o.Format {
	case FormatText, "":
		color := o.Color == ColorAlways || o.Color == ColorAuto && o.File == "" && isCharDevice(o.Out)
		enc := newTextEncoder(o.PID, !o.NoTime, o.UTC, color)
		enc.bare = o.toSyslog()
		s.enc = enc
	case FormatJSON:
		s.enc = newJSONEncoder(o.PID, o.UTC)
	default:
		return nil, fmt.Errorf("log format %q is unknown: use %q or %q", o.Format, FormatText, FormatJSON)
	}
	var err error
	s.sink, err = openSink(o)
	return s, err
}

// toSyslog: a file wins.
func (o *Options) toSyslog() bool { return o.File == "" && (o.Syslog || o.RemoteSyslog != "") }

func levelOf(debug, trace bool) zapcore.Level {
	switch {
	case trace && debug:
		return TraceLevel
	case debug:
		return zapcore.DebugLevel
	default:
		return zapcore.InfoLevel
	}
}

// Logger returns a handle without a prefix.
func (l *Log) Logger() *Logger {
	z := zap.New(&core{log: l}, zap.WithClock(clock{l}), zap.WithFatalHook(fatalHook{l}), zap.ErrorOutput(zapcore.AddSync(io.Discard)))
	return &Logger{log: l, base: z, z: z}
}

// Enabled reports whether lines of a level are written.
func (l *Log) Enabled(level zapcore.Level) bool {
	s := l.state.Load()
	if s.off {
		return false
	}
	// Tracing without debugging leaves the level between the two out.
	if level == TraceLevel {
		return s.opts.Trace
	}
	return level >= s.level
}

// SetLevels switches debugging and tracing.
func (l *Log) SetLevels(debug, trace bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := *l.state.Load()
	s.opts.Debug, s.opts.Trace, s.level = debug, trace, levelOf(debug, trace)
	l.state.Store(&s)
}

// Reopen closes the file and opens it by name again, for whoever moved it
// away (SIGUSR1). It does nothing without a file. When the file cannot be
// opened the log goes on in the old one and the error is returned.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Load().sink.reopen()
}

// Reconfigure moves the log to what the options say. On an error nothing has
// changed. PID, Now and Exit are kept.
func (l *Log) Reconfigure(o Options) error {
	old := l.state.Load().opts
	o.PID, o.Now, o.Exit = old.PID, old.Now, old.Exit
	s, err := newState(o)
	if err != nil {
		return err
	}
	l.mu.Lock()
	prev := l.state.Swap(s)
	l.mu.Unlock()
	return prev.sink.close()
}

// Close closes the file. Lines that come later are lost.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := *l.state.Load()
	if s.off {
		return nil
	}
	s.off = true
	l.state.Store(&s)
	return s.sink.close()
}

func (l *Log) now() time.Time {
	if now := l.state.Load().opts.Now; now != nil {
		return now()
	}
	return time.Now()
}

// core is where zap hands over a line. It differs from zap's own core in two
// ways: what it writes to can be exchanged, and it may add lines about rotation.
type core struct {
	log    *Log
	fields []zapcore.Field
}

func (c *core) Enabled(level zapcore.Level) bool { return c.log.Enabled(level) }

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	all := make([]zapcore.Field, 0, len(c.fields)+len(fields))
	return &core{log: c.log, fields: append(append(all, c.fields...), fields...)}
}

func (c *core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if len(c.fields) > 0 {
		fields = append(c.fields[:len(c.fields):len(c.fields)], fields...)
	}
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	s := c.log.state.Load()
	if s.off {
		return nil
	}
	if err := s.write(e, fields); err != nil {
		return err
	}
	for _, n := range s.sink.rotateIfLong(s.opts.Now()) {
		e := zapcore.Entry{Level: n.level, Time: s.opts.Now(), Message: n.text}
		if err := s.write(e, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *core) Sync() error {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.log.state.Load().sink.sync()
}

func (s *state) write(e zapcore.Entry, fields []zapcore.Field) error {
	buf, err := s.enc.EncodeEntry(e, fields)
	if err != nil {
		return err
	}
	defer buf.Free()
	if sys := s.sink.sys; sys != nil {
		sys.write(e.Level, e.Time, bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}))
		return nil
	}
	return s.sink.write(buf.Bytes())
}

type clock struct{ log *Log }

func (c clock) Now() time.Time                         { return c.log.now() }
func (c clock) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

type fatalHook struct{ log *Log }

func (h fatalHook) OnWrite(*zapcore.CheckedEntry, []zapcore.Field) {
	if s := h.log.state.Load(); !s.off && s.sink.sys != nil {
		s.sink.sys.flush()
	}
	h.log.exit(1)
}

// recent remembers texts for a second. Its size is bounded: what strangers can
// make us log must not grow in memory.
type recent struct {
	mu sync.Mutex
	m  map[string]time.Time
}

const recentMax = 1024

func (r *recent) seen(text string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.m[text]; ok && now.Sub(at) < time.Second {
		return true
	}
	if r.m == nil || len(r.m) >= recentMax {
		for t, at := range r.m {
			if now.Sub(at) >= time.Second {
				delete(r.m, t)
			}
		}
		if r.m == nil || len(r.m) >= recentMax {
			r.m = make(map[string]time.Time)
		}
	}
	r.m[text] = now
	return false
}
