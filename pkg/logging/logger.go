package logging

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// TraceLevel is below zap's debug level; lines of it are labelled TRC.
const TraceLevel = zapcore.DebugLevel - 1

// Logger is a handle on a Log. The zero value is not usable: take one from
// Log.Logger, or Discard. All methods are safe for concurrent use.
type Logger struct {
	log  *Log
	base *zap.Logger // without prefix
	z    *zap.Logger
}

// Discard returns a Logger that writes nothing, for tests and optional parts.
func Discard() *Logger {
	l := &Log{exit: func(int) {}}
	l.state.Store(&state{off: true})
	return l.Logger()
}

// WithPrefix returns a Logger whose lines begin with the prefix and " - "; in
// JSON the prefix is the field "conn". It replaces an earlier prefix.
func (l *Logger) WithPrefix(prefix string) *Logger {
	z := l.base
	if prefix != "" {
		z = z.Named(prefix)
	}
	return &Logger{log: l.log, base: l.base, z: z}
}

// Zap returns the zap logger below, for typed fields. In the text layout they
// follow the message as key=value.
func (l *Logger) Zap() *zap.Logger { return l.z }

// DebugEnabled reports whether Debugf writes anything.
func (l *Logger) DebugEnabled() bool { return l.log.Enabled(zapcore.DebugLevel) }

// TraceEnabled reports whether Tracef writes anything.
func (l *Logger) TraceEnabled() bool { return l.log.Enabled(TraceLevel) }

// Noticef writes a line of level INF.
func (l *Logger) Noticef(format string, args ...any) { l.logf(zapcore.InfoLevel, format, args) }

// Warnf writes a line of level WRN.
func (l *Logger) Warnf(format string, args ...any) { l.logf(zapcore.WarnLevel, format, args) }

// RateLimitedWarnf is Warnf, except that a text written by it within the last
// second is dropped.
func (l *Logger) RateLimitedWarnf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if l.log.recent.seen(l.z.Name()+text, l.log.now()) {
		return
	}
	l.logf(zapcore.WarnLevel, "%s", []any{text})
}

// Errorf writes a line of level ERR.
func (l *Logger) Errorf(format string, args ...any) { l.logf(zapcore.ErrorLevel, format, args) }

// Debugf writes a line of level DBG when debugging is on.
func (l *Logger) Debugf(format string, args ...any) { l.logf(zapcore.DebugLevel, format, args) }

// Tracef writes a line of level TRC when tracing is on.
func (l *Logger) Tracef(format string, args ...any) { l.logf(TraceLevel, format, args) }

// Fatalf writes a line of level FTL and ends the process with exit code 1
// (by Options.Exit).
func (l *Logger) Fatalf(format string, args ...any) {
	l.logf(zapcore.FatalLevel, format, args)
}

func (l *Logger) logf(level zapcore.Level, format string, args []any) {
	ce := l.z.Check(level, "")
	if ce == nil {
		return
	}
	if len(args) == 0 {
		ce.Message = format
	} else {
		ce.Message = fmt.Sprintf(format, args...)
	}
	ce.Write()
}
