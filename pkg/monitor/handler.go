package monitor

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// paths are the endpoints, in the order of the index page. Hits of each are
// counted under its first name.
var paths = [...]struct{ path, alias, title string }{
	{path: "/"},
	{path: "/varz", title: "General"},
	{path: "/jsz", title: "JetStream"},
	{path: "/connz", title: "Connections"},
	{path: "/accountz", title: "Accounts"},
	{path: "/accstatz", title: "Account Stats"},
	{path: "/subsz", alias: "/subscriptionsz", title: "Subscriptions"},
	{path: "/routez", title: "Routes"},
	{path: "/leafz", title: "LeafNodes"},
	{path: "/gatewayz", title: "Gateways"},
	{path: "/healthz", title: "Health Probe"},
}

// uncounted are endpoints whose hits nobody counts.
var uncounted = [...]struct{ path, title string }{
	{"/raftz", "Raft Groups"}, {"/debug/vars", "Expvar"}, {"/ipqueuesz", "Queues"}, {"/stacksz", "Goroutines"},
	{"/livez", "Liveness Probe"}, {"/readyz", "Readiness Probe"},
}

// hits are the counts of requests by path.
func (r *Reports) hits() map[string]uint64 {
	m := make(map[string]uint64, len(paths))
	for i := range paths {
		m[paths[i].path] = r.requests[i].Load()
	}
	return m
}

// ServeHTTP answers any method as it answers GET; there is nothing to change.
func (r *Reports) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	base := r.Settings().HTTP.BasePath
	path, ok := strings.CutPrefix(req.URL.Path, base)
	switch {
	case !ok, base != "" && path == "/":
		http.NotFound(w, req)
		return
	case base != "" && path == "":
		path = "/"
	}
	if !r.admits(w, req, path) {
		return
	}
	for i := range paths {
		if p := &paths[i]; path == p.path || p.alias != "" && path == p.alias {
			r.requests[i].Add(1)
			r.serve(w, req, p.path)
			return
		}
	}
	for i := range uncounted {
		if path == uncounted[i].path {
			r.serve(w, req, path)
			return
		}
	}
	if h := r.extra(path); h != nil {
		h.ServeHTTP(w, req)
		return
	}
	http.NotFound(w, req)
}

func (r *Reports) serve(w http.ResponseWriter, req *http.Request, path string) {
	values := req.URL.Query()
	switch path {
	case "/":
		r.index(w)
		return
	case "/healthz":
		r.serveHealthz(w, req, values)
		return
	case "/livez":
		r.write(w, req, values, http.StatusOK, []byte(`{"status":"ok"}`))
		return
	case "/readyz":
		r.serveHealthz(w, req, url.Values{"js-server-only": {"true"}})
		return
	case "/debug/vars":
		ServeVars(w, req)
		return
	case "/stacksz":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(Stacks()) // the client is gone
		return
	}
	z, err := r.answer(path, values)
	if err != nil {
		code := http.StatusBadRequest
		if path == "/raftz" {
			code = http.StatusNotFound
		}
		refuse(w, code, err)
		return
	}
	indent := "  "
	if path == "/raftz" || path == "/ipqueuesz" {
		indent = "   "
	}
	b, err := json.MarshalIndent(z, "", indent)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.write(w, req, values, http.StatusOK, b)
}

// answer makes the report for a path with the parameters of the query.
func (r *Reports) answer(path string, values url.Values) (z any, err error) {
	q := &query{v: values}
	switch path {
	case "/varz":
		return r.Varz(), nil
	case "/connz":
		o := q.connz()
		if q.err != nil {
			return nil, q.err
		}
		return r.Connz(o)
	case "/routez":
		o := q.routez()
		if q.err != nil {
			return nil, q.err
		}
		return r.Routez(o), nil
	case "/gatewayz":
		o := q.gatewayz()
		if q.err != nil {
			return nil, q.err
		}
		return r.Gatewayz(o), nil
	case "/leafz":
		o := q.leafz()
		if q.err != nil {
			return nil, q.err
		}
		return r.Leafz(o), nil
	case "/subsz":
		o := q.subsz()
		if q.err != nil {
			return nil, q.err
		}
		return r.Subsz(o)
	case "/jsz":
		o := q.jsz()
		if q.err != nil {
			return nil, q.err
		}
		return r.Jsz(o)
	case "/ipqueuesz":
		o := IPQueueszOptions{All: q.bool("all"), Filter: values.Get("queues")}
		if q.err != nil {
			return nil, q.err
		}
		return r.IPQueuesz(o), nil
	case "/raftz":
		return r.Raftz(RaftzOptions{Account: values.Get("acc"), Group: values.Get("group")})
	case "/accountz":
		return r.Accountz(AccountzOptions{Account: values.Get("acc")})
	case "/accstatz":
		o := AccountStatzOptions{Unused: q.bool("unused")}
		if q.err != nil {
			return nil, q.err
		}
		return r.AccountStatz(o), nil
	}
	return nil, fmt.Errorf("no report for %s", path)
}

func (r *Reports) serveHealthz(w http.ResponseWriter, req *http.Request, values url.Values) {
	q := &query{v: values}
	o := q.healthz()
	if q.err != nil {
		refuse(w, http.StatusBadRequest, q.err)
		return
	}
	h := r.Healthz(o)
	code := h.StatusCode
	h.StatusCode = 0 // the status line says it
	b, err := json.Marshal(h)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.write(w, req, values, code, b)
}

// refuse says why there is no answer, in the words of the error alone.
func refuse(w http.ResponseWriter, code int, err error) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(err.Error())) // the client is gone
}

// write sends JSON, wrapped in a call if a script asks for one, compressed if the
// client takes it. Scripts of any page may ask, and browsers show the password and the
// certificate that they have: where one is needed there are no calls.
func (r *Reports) write(w http.ResponseWriter, req *http.Request, values url.Values, code int, b []byte) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "application/json")
	if f := values.Get("callback"); callable(f) && !r.guarded() {
		h.Set("Content-Type", "application/javascript")
		// The comment in front keeps the answer from being taken for another format.
		b = append(append(append([]byte("/**/"+f), '('), b...), ')')
	}
	Send(w, req, code, b)
}

// Send sends a body whose header has been set, compressed if the client takes it.
func Send(w http.ResponseWriter, req *http.Request, code int, b []byte) {
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	if len(b) < minGzip || !acceptsGzip(req.Header.Get("Accept-Encoding")) || req.Method == http.MethodHead {
		w.WriteHeader(code)
		_, _ = w.Write(b) // the client is gone
		return
	}
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(code)
	z := gzip.NewWriter(w)
	_, _ = z.Write(b)
	_ = z.Close()
}

// minGzip is the size from which compression pays: about one packet.
const minGzip = 1400

func acceptsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(name) != "gzip" {
			continue
		}
		q := strings.TrimSpace(params)
		return q != "q=0" && !strings.HasPrefix(q, "q=0.000")
	}
	return false
}

const maxCallback = 128

// callable tells whether a name may stand as a function in a script: dotted
// identifiers and nothing else.
func callable(f string) bool {
	if f == "" || len(f) > maxCallback {
		return false
	}
	for id := range strings.SplitSeq(f, ".") {
		if id == "" || id[0] >= '0' && id[0] <= '9' {
			return false
		}
		for _, c := range []byte(id) {
			if c != '_' && c != '$' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
				return false
			}
		}
	}
	return true
}
