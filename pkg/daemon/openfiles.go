package daemon

import "github.com/banyanmq/banyan/pkg/config"

// warnOpenFiles says when fewer files may be open than clients are admitted: the last
// of them would be turned away by the system, without a word.
func (p *Process) warnOpenFiles(limit uint64, known bool) {
	least, _ := p.Config.OpenFiles()
	if !known || limit >= least {
		return
	}
	if p.Config.Daemon == config.Gwd {
		p.Log.Warnf("At most %d files may be open, and the settings need %d: raise the limit (LimitNOFILE= of the service, ulimit -n)", limit, least)
		return
	}
	p.Log.Warnf("At most %d files may be open, but clients.limits.max_connections is %d: raise the limit (LimitNOFILE= of the service, ulimit -n), or lower the setting",
		limit, p.Config.Limits.MaxConnections)
}
