package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/monitor"
)

// profiler serves the runtime's profiles over HTTP (setting profiling.port).
type profiler struct {
	p   *Process
	ln  net.Listener
	srv *http.Server
	wg  sync.WaitGroup
}

// profilerPart listens on loopback, whatever clients connect to: profiles say more
// than strangers should know, and anybody may ask for one that costs much.
func profilerPart(p *Process) Part {
	return ServicePart(Watching, "profiling listener", "profile", "http", &profiler{p: p})
}

func (s *profiler) Start() error {
	host := "127.0.0.1"
	if ip := net.ParseIP(s.p.Config.Client.Host); ip != nil && ip.IsLoopback() {
		host = ip.String() // another of the machine's own
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(max(s.p.Config.ProfPort, 0))))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", serveProfile)
	mux.HandleFunc("/debug/pprof/cmdline", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(strings.Join(config.RedactArgs(os.Args), "\x00"))) // the client is gone
	})
	mux.HandleFunc("/debug/pprof/profile", serveTimed(30, pprof.StartCPUProfile, pprof.StopCPUProfile))
	mux.HandleFunc("/debug/pprof/trace", serveTimed(1, trace.Start, trace.Stop))
	mux.HandleFunc("/debug/vars", monitor.ServeVars)
	s.ln, s.srv = ln, &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	s.wg.Go(func() {
		if err := s.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.p.Log.Errorf("Profiling listener: %v", err)
		}
	})
	s.p.Log.Noticef("profiling port: %d", s.Addr().Port)
	return nil
}

func (s *profiler) Addr() *net.TCPAddr {
	if s.ln == nil {
		return nil
	}
	return s.ln.Addr().(*net.TCPAddr)
}

func (s *profiler) Close() {
	if s.srv == nil {
		return
	}
	// A profile may take half a minute: whoever waits for it is cut off.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.srv.Shutdown(ctx) != nil {
		s.srv.Close()
	}
	s.wg.Wait()
}

// What follows is what net/http/pprof does, without differences of profiles, for which that
// links a reader of profiles (100 KB of a leafd): fetch two and give the first to
// go tool pprof -base.

// serveProfile answers with one of the runtime's profiles, or lists them.
func serveProfile(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/debug/pprof/")
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if name == "" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		for _, p := range pprof.Profiles() {
			fmt.Fprintf(w, "%s\t%d\n", p.Name(), p.Count())
		}
		fmt.Fprintf(w, "cmdline\nprofile?seconds=30\ntrace?seconds=1\n")
		return
	}
	p := pprof.Lookup(name)
	switch {
	case p == nil:
		http.NotFound(w, r)
		return
	case r.FormValue("seconds") != "":
		http.Error(w, "differences are not made here: fetch two profiles and give the first to go tool pprof -base", http.StatusBadRequest)
		return
	}
	if gc, _ := strconv.Atoi(r.FormValue("gc")); name == "heap" && gc > 0 {
		runtime.GC()
	}
	debug, _ := strconv.Atoi(r.FormValue("debug"))
	if debug > 0 {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	} else {
		attach(h, name)
	}
	_ = p.WriteTo(w, debug) // the client is gone
}

func attach(h http.Header, name string) {
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
}

// serveTimed answers with what is recorded for as many seconds as are asked for.
func serveTimed(seconds float64, start func(io.Writer) error, stop func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d := seconds
		if s, err := strconv.ParseFloat(r.FormValue("seconds"), 64); err == nil && s > 0 && s <= 3600 {
			d = s
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		attach(h, strings.TrimPrefix(r.URL.Path, "/debug/pprof/"))
		if err := start(w); err != nil { // somebody else records
			h.Del("Content-Disposition")
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		defer stop()
		select {
		case <-r.Context().Done():
		case <-time.After(time.Duration(d * float64(time.Second))):
		}
	}
}
