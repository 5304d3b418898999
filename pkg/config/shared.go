package config

import (
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// shareWithHub turns a hub's settings into those of a gwd beside that hub: it
// opens no client port, adds "-gwd" to the names of server and files, takes a
// route port of its own and dials the hub's. What the environment or a flag
// says stands as it is.
func (l *loader) shareWithHub() {
	c := l.cfg
	given := func(key string) bool { return l.explicit[key] }
	if c.ServerName != "" && !given("server.name") {
		c.ServerName += "-gwd"
	}
	c.Client, c.Auth, c.Accounts, c.LeafNodes = Client{}, Authorization{}, nil, nil
	if !given("monitor.port") {
		c.HTTP.Listen, c.HTTP.HTTPS, c.HTTP.TLS = Listen{}, Listen{}, false
	}
	if !given("profiling.port") {
		c.ProfPort = 0
	}
	if !given("lifecycle.pid_file") {
		c.PidFile = besides(c.PidFile)
	}
	if !given("log.file") {
		c.Log.File = besides(c.Log.File)
	}
	l.shareRoutes(given)
}

func (l *loader) shareRoutes(given func(string) bool) {
	c := l.cfg
	if c.Gateway == nil {
		l.errorf(conf.Pos{File: c.File}, "gateway", "this is a hub's file without a gateway block: gwd has nothing to do")
	}
	if c.Cluster == nil || c.Cluster.Port == 0 {
		l.errorf(conf.Pos{File: c.File}, "cluster", "this is a hub's file without a route listener: set cluster.listen so that gwd can join the hub")
		return
	}
	c.Cluster.Permissions = nil // what the hub lets its routes pass on it applies to gwd as well
	if given("cluster.port") {
		return
	}
	hub := c.Cluster.Listen
	c.Cluster.Port, c.Cluster.Advertise = -1, ""
	if given("cluster.routes") {
		return
	}
	if hub.Port == -1 {
		l.errorf(l.origin["cluster.port"], "cluster.port", "the kernel chooses the hub's route port, so gwd cannot know it: give a number, or set the routes (%s or --routes)", envName(Gwd, "cluster.routes"))
		return
	}
	host := hub.Host
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	u := &url.URL{Scheme: "nats-route", Host: net.JoinHostPort(host, strconv.Itoa(hub.Port))}
	for _, r := range c.Cluster.Routes {
		if r.Host == u.Host {
			return
		}
	}
	c.Cluster.Routes = append([]*url.URL{u}, c.Cluster.Routes...)
}

// besides is the name of gwd's file next to the hub's: hub.log is hub-gwd.log.
func besides(name string) string {
	if name == "" {
		return ""
	}
	ext := filepath.Ext(name)
	return strings.TrimSuffix(name, ext) + "-gwd" + ext
}
