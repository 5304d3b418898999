package logging

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// backupLayout is the suffix of a rotated file. It sorts by age.
const backupLayout = ".2006.01.02.15.04.05.000000000"

// sink is where lines go: a stream, or a file that may rotate. The Log's lock
// guards it.
type sink struct {
	w        io.Writer
	sys      *syslog // instead of all others
	name     string  // "" for a stream
	file     *os.File
	size     int64
	limit    int64 // current limit; doubled for as long as rotating fails
	wanted   int64 // limit as configured
	maxFiles int
}

// notice is a line that the sink wants in the log.
type notice struct {
	level zapcore.Level
	text  string
}

func openSink(o Options) (*sink, error) {
	if o.toSyslog() {
		sys, err := openSyslog(o)
		return &sink{sys: sys}, err
	}
	if o.File == "" {
		return &sink{w: o.Out}, nil
	}
	s := &sink{name: o.File, limit: o.SizeLimit, wanted: o.SizeLimit, maxFiles: o.MaxFiles}
	return s, s.open()
}

func (s *sink) open() error {
	f, err := os.OpenFile(s.name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("opening the log file: %w", err)
	}
	fi, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("opening the log file: %w", err)
	}
	s.file, s.w, s.size = f, f, fi.Size()
	return nil
}

func (s *sink) write(b []byte) error {
	n, err := s.w.Write(b)
	s.size += int64(n)
	return err
}

// reopen opens the name anew before it lets the old file go, so that there is
// always something to write to.
func (s *sink) reopen() error {
	if s == nil || s.name == "" {
		return nil
	}
	old := s.file
	if err := s.open(); err != nil {
		return err
	}
	return old.Close()
}

// rotateIfLong begins a new file when this one is over the limit and returns
// what should be said about it.
func (s *sink) rotateIfLong(now time.Time) []notice {
	if s.limit <= 0 || s.file == nil || s.size <= s.limit {
		return nil
	}
	backup := s.name + now.Format(backupLayout)
	// Two rotations in one tick of the clock must not overwrite each other.
	for i := 1; ; i++ {
		if _, err := os.Lstat(backup); err != nil {
			break
		}
		backup = s.name + now.Add(time.Duration(i)).Format(backupLayout)
	}
	if err := os.Rename(s.name, backup); err != nil {
		s.limit *= 2
		return []notice{{zapcore.ErrorLevel, fmt.Sprintf("Unable to rename log file to %q: %v; next try at %d bytes", backup, err, s.limit)}}
	}
	if err := s.reopen(); err != nil {
		// The backup is still open and goes on taking the lines.
		s.limit *= 2
		return []notice{{zapcore.ErrorLevel, fmt.Sprintf("Unable to begin a new log file, going on in %q: %v; next try at %d bytes", backup, err, s.limit)}}
	}
	s.limit = s.wanted
	out := []notice{{zapcore.InfoLevel, fmt.Sprintf("Rotated log, backup saved as %q", backup)}}
	return append(out, s.purge()...)
}

// purge removes the oldest backups until they and the file are maxFiles.
func (s *sink) purge() []notice {
	if s.maxFiles <= 0 {
		return nil
	}
	dir, base := filepath.Dir(s.name), filepath.Base(s.name)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return []notice{{zapcore.ErrorLevel, fmt.Sprintf("Unable to list the log directory: %v", err)}}
	}
	var backups []string
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Name(), base)
		if !ok {
			continue
		}
		if _, err := time.Parse(backupLayout, suffix); err == nil {
			backups = append(backups, e.Name())
		}
	}
	slices.Sort(backups)
	var out []notice
	for len(backups) > max(s.maxFiles-1, 0) {
		f := filepath.Join(dir, backups[0])
		backups = backups[1:]
		if err := os.Remove(f); err != nil {
			out = append(out, notice{zapcore.ErrorLevel, fmt.Sprintf("Unable to purge log file %q: %v", f, err)})
			continue
		}
		out = append(out, notice{zapcore.InfoLevel, fmt.Sprintf("Purged log file %q", f)})
	}
	return out
}

func (s *sink) sync() error {
	if s == nil || s.file == nil {
		return nil
	}
	return s.file.Sync()
}

func (s *sink) close() error {
	if s != nil && s.sys != nil {
		s.sys.close()
	}
	if s == nil || s.file == nil {
		return nil
	}
	return s.file.Close()
}
