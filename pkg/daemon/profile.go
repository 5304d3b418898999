package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
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
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(strings.Join(config.RedactArgs(os.Args), "\x00"))) // the client is gone
	})
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
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
