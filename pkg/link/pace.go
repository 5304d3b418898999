package link

import "time"

// SetPace changes how often PINGs are sent and how many may be unanswered. The next one
// comes no later than the new interval from now.
func (p *Pinger) SetPace(every time.Duration, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	shorter := every < p.o.Every
	p.o.Every, p.o.Max = every, most
	if shorter && !p.stopped {
		p.timer.Reset(every)
	}
}
