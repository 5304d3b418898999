package monitor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// Service is the HTTP listener. It is started with Start if the settings name a
// port, and does nothing otherwise.
type Service struct {
	r  *Reports
	ln net.Listener

	srv  *http.Server
	wg   sync.WaitGroup
	once sync.Once
}

// Limits of the listener. A page of connections may be long and a reader far away. Who
// asks is a browser, a scraper or a probe, each with a few connections: whoever opens very
// many must not take the descriptors that clients need.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second // of a body, which nobody looks at
	writeTimeout  = 60 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	maxOpen       = 1024
	closeTimeout  = time.Second
)

// New makes a Service with Reports of its own.
func New(o Options) *Service { return &Service{r: NewReports(o)} }

// Reports are the answers that the Service gives.
func (s *Service) Reports() *Reports { return s.r }

// Start opens the listener that the settings name, if any.
func (s *Service) Start() error {
	h := &s.r.Settings().HTTP
	if !h.Enabled() {
		return nil
	}
	var secure *tls.Config
	if h.TLS {
		var err error
		if secure, err = s.tls(); err != nil {
			return fmt.Errorf("monitoring listener: %w", err)
		}
	}
	ln, err := net.Listen("tcp", h.Addr())
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("monitoring listener: %w; is another server running on that port?", err)
	}
	if err != nil {
		return fmt.Errorf("monitoring listener: %w; is %s an address of this machine?", err, h.Addr())
	}
	s.ln = ln
	s.r.httpPort.Store(int64(s.Addr().Port))
	if secure != nil {
		ln = tls.NewListener(ln, secure)
	}
	g := &gate{most: maxOpen, open: make(map[net.Conn]http.ConnState)}
	s.srv = &http.Server{
		Handler: s.r, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ConnState: g.state, ErrorLog: log.New(complaints{s.r.o.Log}, "", 0),
	}
	s.wg.Go(func() { _ = s.srv.Serve(ln) })
	s.r.o.Log.Noticef("Starting %s monitor on %s", s.Scheme(), ln.Addr())
	return nil
}

// tls is how the listener speaks TLS: with the certificate that clients see, and a look at
// theirs if the settings let somebody in by one.
func (s *Service) tls() (*tls.Config, error) {
	c := s.r.Settings()
	if c.HTTP.AuthTLS != nil {
		return c.HTTP.AuthTLS.Asking()
	}
	return c.ServerTLS().Public()
}

// Scheme is that of URLs: http or https.
func (s *Service) Scheme() string {
	if s.r.Settings().HTTP.TLS {
		return "https"
	}
	return "http"
}

// Addr is the address that is listened on, nil if none is.
func (s *Service) Addr() *net.TCPAddr {
	if s.ln == nil {
		return nil
	}
	return s.ln.Addr().(*net.TCPAddr)
}

// Close ends the listener, waits a moment for answers under way, and then for
// its goroutines. It may be called more than once, and without Start.
func (s *Service) Close() {
	s.once.Do(func() {
		if s.srv == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if s.srv.Shutdown(ctx) != nil {
			s.srv.Close()
		}
	})
	s.wg.Wait()
}
