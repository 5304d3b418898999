package daemon

import "runtime"

// sampleBlocking turns the profile of blocking on (setting profiling.block_rate).
func (p *Process) sampleBlocking() {
	if rate := p.Config.ProfBlockRate; rate > 0 {
		runtime.SetBlockProfileRate(rate)
		p.Log.Warnf("Block profiling is on (rate %d): it costs time", rate)
	}
}
