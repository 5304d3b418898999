package websocket

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Origin is where a page came from: what browsers say of themselves.
type Origin struct{ Scheme, Host, Port string }

// ParseOrigin reads an origin of the settings: an absolute http or https URL.
func ParseOrigin(s string) (Origin, error) {
	o, err := parseOrigin(s)
	if err == nil && o.Scheme != "http" && o.Scheme != "https" {
		err = fmt.Errorf("%q is neither http nor https", s)
	}
	return o, err
}

func parseOrigin(s string) (Origin, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Origin{}, err
	}
	if !u.IsAbs() || u.Hostname() == "" {
		return Origin{}, fmt.Errorf("%q is no absolute URL with a host", s)
	}
	o := Origin{strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()}
	if o.Port == "" {
		o.Port = defaultPort(o.Scheme == "https")
	}
	return o, nil
}

func defaultPort(secure bool) string {
	if secure {
		return "443"
	}
	return "80"
}

// checkOrigin applies the rules of websocket 4. Programs that are not browsers say no
// origin and are let in.
func (r *Rules) checkOrigin(q *Request) error {
	if !r.SameOrigin && len(r.Origins) == 0 && !r.Local {
		return nil
	}
	text, ok := q.fields.first("origin")
	if !ok {
		text, ok = q.fields.first("sec-websocket-origin")
	}
	if !ok {
		return nil
	}
	o, err := parseOrigin(text)
	if err != nil {
		return refuse(StatusForbidden, "origin not allowed: %v", err)
	}
	if len(r.Origins) > 0 && !contains(r.Origins, o) {
		return refuse(StatusForbidden, "origin not allowed: %q is not among allowed_origins", cut(text))
	}
	if r.SameOrigin {
		own, ok := hostOrigin(q.Host, r.Secure)
		if !ok || own != o {
			return refuse(StatusForbidden, "origin not allowed: %q is not that of host %q", cut(text), cut(q.Host))
		}
	}
	// A page from elsewhere may have made its own name point to this machine: then
	// it is its name that the request is for.
	if r.Local && len(r.Origins) == 0 {
		own, ok := hostOrigin(q.Host, r.Secure)
		if !ok || !local(own.Host) || !local(o.Host) {
			return refuse(StatusForbidden, "origin not allowed: %q for host %q on a loopback listener; list it in allowed_origins", cut(text), cut(q.Host))
		}
	}
	return nil
}

func contains(list []Origin, o Origin) bool {
	for _, x := range list {
		if x == o {
			return true
		}
	}
	return false
}

// hostOrigin is the origin of pages that come from where a request was sent to.
func hostOrigin(host string, secure bool) (Origin, bool) {
	o := Origin{Scheme: "http", Port: defaultPort(secure)}
	if secure {
		o.Scheme = "https"
	}
	h, p, err := net.SplitHostPort(host)
	if err == nil && p != "" {
		o.Port = p
	} else if err != nil {
		h = strings.Trim(host, "[]")
	}
	o.Host = strings.ToLower(h)
	return o, h != ""
}

func local(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
