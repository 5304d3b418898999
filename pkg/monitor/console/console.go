package console

import (
	"bytes"
	"embed"
	"encoding/json"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/monitor"
)

//go:embed page
var page embed.FS

// policy lets the page load its own script and style and ask its own server, and
// nothing else; names of clients that look like markup can't do anything.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// files of the page with their types.
var files = map[string]string{
	"index.html": "text/html; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "picture.js": "text/javascript; charset=utf-8",
	"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml",
}

// Served tells whether the settings want the page: if asked for, or if only this
// machine can see it.
func Served(c *config.Config) bool {
	switch c.HTTP.Console {
	case config.ConsoleOn:
		return true
	case config.ConsoleOff:
		return false
	}
	ip := net.ParseIP(strings.Trim(c.HTTP.Host, "[]"))
	return c.HTTP.Host == "localhost" || ip != nil && ip.IsLoopback()
}

// Pages are what a daemon serves beside the endpoints: the page and the metrics, as
// the settings want.
func Pages(c *config.Config, metrics func(*monitor.Reports) http.Handler) map[string]func(*monitor.Reports) http.Handler {
	all := make(map[string]func(*monitor.Reports) http.Handler)
	if c.HTTP.Metrics.Enabled && metrics != nil {
		all[c.HTTP.Metrics.Path] = metrics
	}
	if Served(c) {
		all["/ui"], all["/ui/"] = Handler, Handler
	}
	return all
}

// Handler serves the page, its files, and what it shows.
func Handler(r *monitor.Reports) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only to be read", http.StatusMethodNotAllowed)
			return
		}
		name := path.Base(req.URL.Path)
		switch {
		case strings.HasSuffix(req.URL.Path, "/ui"):
			http.Redirect(w, req, "ui/", http.StatusFound)
		case strings.HasSuffix(req.URL.Path, "/"):
			file(w, req, "index.html")
		case name == "state.json":
			state(w, req, r)
		case name == "settings.json":
			answer(w, req, Settings(r.Settings()))
		case files[name] != "":
			file(w, req, name)
		default:
			http.NotFound(w, req)
		}
	})
}

func file(w http.ResponseWriter, req *http.Request, name string) {
	b, err := page.ReadFile("page/" + name)
	if err != nil {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Type", files[name])
	monitor.Send(w, req, http.StatusOK, b)
}

func state(w http.ResponseWriter, req *http.Request, r *monitor.Reports) {
	q := req.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	z, err := r.Overview(monitor.OverviewOptions{Sort: q.Get("sort"), Limit: limit})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer(w, req, z)
}

func answer(w http.ResponseWriter, req *http.Request, v any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	monitor.Send(w, req, http.StatusOK, b.Bytes())
}
