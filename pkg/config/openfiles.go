package config

// OpenFiles is how many files the settings can make the daemon hold open: least is what
// as many clients as are admitted take, wanted is that twice and 10000, which leaves room
// for links, for files, and for clients that come back before the server has noticed
// that they had gone.
func (c *Config) OpenFiles() (least, wanted uint64) {
	const own = 64 // listeners, event loops, log, standard streams
	clients := uint64(0)
	if c.Client.Enabled() && c.Limits.MaxConnections > 0 {
		clients = uint64(c.Limits.MaxConnections)
	}
	links := uint64(0)
	if c.Cluster != nil {
		links += uint64(len(c.Cluster.Routes) * max(c.Cluster.PoolSize, 1))
	}
	if c.Gateway != nil {
		links += 2 * uint64(len(c.Gateway.Remotes))
	}
	if c.LeafNodes != nil {
		links += uint64(len(c.LeafNodes.Remotes))
	}
	return own + links + clients, 2*clients + 10000
}
