package logging

// Pending is a change of a Log that was prepared: what can fail has been done.
// Either Commit or Discard must be called.
type Pending struct {
	log  *Log
	next *state // nil: only the levels differ
	opts Options
}

// Prepare opens what the options say without writing to it; lines go on to where they
// go now. PID, Now, Exit and, without a file, Out are kept.
func (l *Log) Prepare(o Options) (*Pending, error) {
	old := l.state.Load()
	o.PID, o.Now, o.Exit, o.Out = old.opts.PID, old.opts.Now, old.opts.Exit, old.opts.Out
	o.syslogPaths = old.opts.syslogPaths
	p := &Pending{log: l, opts: o}
	same := old.opts
	same.Debug, same.Trace = o.Debug, o.Trace
	if sameOptions(same, o) {
		return p, nil
	}
	next, err := newState(o)
	if err != nil {
		return nil, err
	}
	p.next = next
	return p, nil
}

func sameOptions(a, b Options) bool {
	return a.File == b.File && a.Format == b.Format && a.Debug == b.Debug && a.Trace == b.Trace && a.NoTime == b.NoTime &&
		a.UTC == b.UTC && a.Color == b.Color && a.Syslog == b.Syslog && a.RemoteSyslog == b.RemoteSyslog && a.SizeLimit == b.SizeLimit && a.MaxFiles == b.MaxFiles
}

// Commit makes the change.
func (p *Pending) Commit() {
	l := p.log
	if p.next == nil {
		l.SetLevels(p.opts.Debug, p.opts.Trace)
		return
	}
	l.mu.Lock()
	prev := l.state.Swap(p.next)
	l.mu.Unlock()
	_ = prev.sink.close() // every line of it has been written
}

// Discard gives up what was opened.
func (p *Pending) Discard() {
	if p.next != nil {
		_ = p.next.sink.close()
	}
}
