package monitor

import (
	"fmt"
	"html"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/banyanmq/banyan/pkg/version"
)

const indexHead = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>%[2]s (%[1]s)</title>
<style>body { font-family: sans-serif; margin: 2em } li { line-height: 1.6 }</style></head>
<body>
<h1>%[1]s <small>%[3]s</small></h1>
<p>%[2]s</p>
<ul>
`

// index is the page for people who look around with a browser.
func (r *Reports) index(w http.ResponseWriter) {
	s := r.o.Server
	var b strings.Builder
	fmt.Fprintf(&b, indexHead, html.EscapeString(s.Product), html.EscapeString(s.Name), html.EscapeString(version.Product+" "+s.Version))
	item := func(path, title string) {
		fmt.Fprintf(&b, "<li><a href=\"%s\">%s</a></li>\n", html.EscapeString(r.Settings().HTTP.BasePath+path), title)
	}
	for _, p := range paths {
		if p.title != "" {
			item(p.path, p.title)
		}
	}
	for _, p := range uncounted {
		item(p.path, p.title)
	}
	for _, path := range slices.Sorted(maps.Keys(r.handlers)) {
		if !strings.HasSuffix(path, "/") { // what is below a page is its own affair
			item(path, strings.Trim(path, "/"))
		}
	}
	b.WriteString("</ul>\n</body>\n</html>\n")
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(b.String())) // the client is gone
}
