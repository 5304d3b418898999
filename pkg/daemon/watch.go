package daemon

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Quiet times of the watcher.
const (
	watchQuiet = 500 * time.Millisecond // without news, before a reload: files change together
	watchMost  = 5 * time.Second        // after the first news, if they never end
)

// watcher reloads when a file that settings were read from has changed. Directories are
// watched, those of links and those that links lead to: editors put another file in the
// place of the old one, Kubernetes another directory behind a link. What counts is what the
// files hold, so that a notice more or less does no harm.
type watcher struct {
	p     *Process
	quiet time.Duration

	fs   *fsnotify.Watcher
	stop chan struct{}
	news chan struct{} // the settings have changed: other files may count
}

// watch begins or ends watching as the settings in force want it.
func (p *Process) watch() {
	want := p.Settings().Reload.Watch && p.Settings().File != "" && p.reload.load != nil
	w := p.reload.watcher
	switch {
	case want && w == nil:
		fs, err := fsnotify.NewWatcher()
		if err != nil {
			p.Log.Errorf("Watching the settings: %v", err)
			return
		}
		w = &watcher{p: p, quiet: watchQuiet, fs: fs, stop: make(chan struct{}), news: make(chan struct{}, 1)}
		w.look() // before anything can change
		p.reload.watcher = w
		seen := w.sum()
		p.reload.wg.Go(func() { w.run(seen) })
	case want:
		select {
		case w.news <- struct{}{}:
		default:
		}
	case w != nil:
		p.reload.watcher = nil
		close(w.stop) // it may be what reloads: it is not waited for
	}
}

// unwatch ends watching and waits for its end. No reload may be under way.
func (p *Process) unwatch() {
	p.reload.mu.Lock()
	w := p.reload.watcher
	p.reload.watcher = nil
	p.reload.mu.Unlock()
	if w != nil {
		close(w.stop)
	}
	p.reload.wg.Wait()
}

// run waits for news, and for their end, and reloads. seen is what the files held when
// they were read last.
func (w *watcher) run(seen [sha256.Size]byte) {
	defer w.fs.Close()
	files := w.p.Settings().Files
	for {
		select {
		case <-w.stop:
			return
		case <-w.news:
			// With the same files a change since they were read is still to be seen.
			if now := w.p.Settings().Files; !slices.Equal(now, files) {
				files = now
				w.look()
				seen = w.sum()
			}
			continue
		case <-w.fs.Errors:
		case _, ok := <-w.fs.Events:
			if !ok {
				return
			}
		}
		if !w.settle() {
			return
		}
		w.look() // links may lead elsewhere
		now := w.sum()
		if now == seen {
			continue
		}
		// What changes from here on is news, with an event of its own.
		seen = now
		w.p.Log.Noticef("The settings have changed on disk")
		_ = w.p.Reload() // which logs why not
	}
}

// settle returns when nothing has happened for a moment; false: it is time to stop.
func (w *watcher) settle() bool {
	quiet, most := time.NewTimer(w.quiet), time.NewTimer(watchMost)
	defer quiet.Stop()
	defer most.Stop()
	for {
		select {
		case <-w.stop:
			return false
		case <-w.fs.Errors:
		case _, ok := <-w.fs.Events:
			if !ok {
				return false
			}
			quiet.Reset(w.quiet)
		case <-quiet.C:
			return true
		case <-most.C:
			return true
		}
	}
}

// look watches the directories of all files, and no others.
func (w *watcher) look() {
	want := make(map[string]bool)
	for _, f := range w.p.Settings().Files {
		for range 32 { // links on the way; a ring of them ends as well
			f, _ = filepath.Abs(f)
			want[filepath.Dir(f)] = true
			// A directory on the way may be a link itself, as ..data is.
			if dir, err := filepath.EvalSymlinks(filepath.Dir(f)); err == nil {
				want[dir] = true
				if link, err := os.Readlink(filepath.Dir(f)); err == nil && link != "" {
					want[filepath.Dir(filepath.Dir(f))] = true
				}
			}
			to, err := os.Readlink(f)
			if err != nil {
				break
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(filepath.Dir(f), to)
			}
			f = to
		}
	}
	for _, dir := range w.fs.WatchList() {
		if !want[dir] {
			_ = w.fs.Remove(dir)
		}
		delete(want, dir)
	}
	for dir := range want {
		if err := w.fs.Add(dir); err != nil && !os.IsNotExist(err) {
			w.p.Log.Warnf("Watching %s: %v", dir, err)
		}
	}
}

// sum is a hash of what the files hold.
func (w *watcher) sum() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, f := range w.p.Settings().Files {
		b, err := os.ReadFile(f)
		if err != nil {
			b = []byte(err.Error())
		}
		one := sha256.Sum256(b)
		h.Write(one[:])
	}
	h.Sum(sum[:0])
	return sum
}
