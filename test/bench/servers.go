//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"debug/buildinfo"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/banyanmq/banyan/test/procs"
)

// side is one of the two that are compared.
type side struct {
	Name    string `json:"name"`    // A or B
	Exe     string `json:"exe"`     // the hub, or the reference server
	Version string `json:"version"` // what it says of itself
	ours    bool   // gateways and leaf nodes are processes of their own
	flags   bool   // started by flags instead of a settings file
	work    string // directory for its files
	tls     *serverTLS
	started int // sites so far, for names
}

func newSide(name, exe, work string, flags bool, certs *serverTLS) (*side, error) {
	path, err := exec.LookPath(exe)
	if err != nil {
		return nil, fmt.Errorf("side %s: %w", name, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	s := &side{Name: name, Exe: path, flags: flags, work: filepath.Join(work, name), tls: certs}
	s.ours = strings.HasPrefix(filepath.Base(path), "hubd")
	for _, arg := range []string{"version", "--version"} {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		out, err := exec.CommandContext(ctx, path, arg).Output()
		cancel()
		if line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n"); err == nil && line != "" {
			s.Version = line
			break
		}
	}
	return s, os.MkdirAll(s.work, 0o700)
}

// builtFrom is the commit that the binary itself says it was built from; "" when it says nothing.
func (s *side) builtFrom() string {
	info, err := buildinfo.ReadFile(s.Exe)
	if err != nil {
		return ""
	}
	rev, dirty := "", ""
	for _, kv := range info.Settings {
		switch {
		case kv.Key == "vcs.revision":
			rev = kv.Value[:min(len(kv.Value), 10)]
		case kv.Key == "vcs.modified" && kv.Value == "true":
			dirty = " with uncommitted changes"
		}
	}
	if rev == "" {
		return ""
	}
	return ", built from commit " + rev + dirty
}

// beside is another daemon of ours, from the directory that the hub is in.
func (s *side) beside(name string) (string, error) {
	p := filepath.Join(filepath.Dir(s.Exe), name)
	if _, err := os.Stat(p); err != nil {
		return "", fmt.Errorf("%w: %s is not beside %s", errUnavailable, name, s.Exe)
	}
	return p, nil
}

// errUnavailable marks a scenario that a side can't take part in.
var errUnavailable = errors.New("not available")

// topology is how many servers there are and what joins them.
type topology string

const (
	single  topology = "single"
	route   topology = "route"
	gateway topology = "gateway"
	leaf    topology = "leaf"
)

// cluster of processes of one side.
type servers struct {
	site
	procs []*procs.Process
	ports *procs.Reservation // nil if all ports are the kernel's choice
}

// reserve takes ports for listeners that the peers must know before they start.
func (s *servers) reserve(n int) (ports []int, err error) {
	if s.ports, err = procs.Reserve(n); err != nil {
		return nil, err
	}
	return s.ports.Ports, nil
}

func (s *servers) stop() {
	for _, p := range s.procs {
		p.Kill()
	}
	_ = s.ports.Close()
}

// logs are the last lines of every process, for errors.
func (s *servers) logs() string {
	var b strings.Builder
	for _, p := range s.procs {
		fmt.Fprintf(&b, "--- %s\n%s\n", p.Dir(), p.Log.Tail(8))
	}
	return b.String()
}

// start runs the servers that a scenario wants and waits until they take clients.
func (s *side) start(sc *scenario) (*servers, error) {
	s.started++
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	v := &servers{}
	v.started = time.Now()
	var err error
	switch sc.topo {
	case route:
		err = s.startRoute(ctx, v, sc)
	case gateway:
		err = s.startGateway(ctx, v, sc)
	case leaf:
		err = s.startLeaf(ctx, v, sc)
	default:
		err = s.startSingle(ctx, v, sc)
	}
	if err != nil {
		logs := v.logs()
		v.stop()
		return nil, fmt.Errorf("starting side %s: %w\n%s", s.Name, err, logs)
	}
	for _, p := range v.procs {
		v.pids = append(v.pids, p.Pid())
	}
	if sc.back {
		v.pub, v.sub = v.sub, v.pub
	}
	if sc.topo != "" && sc.topo != single {
		if err := v.linked(); err != nil {
			logs := v.logs()
			v.stop()
			return nil, fmt.Errorf("side %s: %w\n%s", s.Name, err, logs)
		}
	}
	return v, nil
}

// linked waits until the link between the servers carries messages both ways. Subscriptions made while a link comes up are
// a matter of their own (the reference server misses one now and then); here only the cost of messages is measured.
func (v *servers) linked() error {
	there := site{pub: v.pub, sub: v.sub}
	back := site{pub: v.sub, sub: v.pub}
	deadline := time.Now().Add(patience)
	for _, at := range []*site{&there, &back} {
		for run := uint16(linkRuns); ; run++ {
			err := tryLink(run, at)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return err
			}
		}
	}
	return nil
}

// linkRuns is where the session numbers of linked begin.
const linkRuns = 60_000

func tryLink(run uint16, at *site) error {
	s, err := newSession(run, at)
	if err != nil {
		return err
	}
	s.reach = time.Second
	d := &deliverySession{session: s, spec: delivery{pubs: 1, subscribers: 1, size: stampLen}}
	return errors.Join(d.connect(), s.Close())
}

// common is the part of the settings that every server has.
func (s *side) common(name string, sc *scenario) string {
	c := fmt.Sprintf("server_name: %s\nlisten: 127.0.0.1:-1\nports_file_dir: \"{{dir}}\"\n%s", name, sc.conf)
	if sc.tls {
		c += fmt.Sprintf("tls { cert_file: %q, key_file: %q }\n", s.tls.cert, s.tls.key)
	}
	return c
}

func (s *side) launch(v *servers, exe, name, config string, args ...string) (*procs.Process, error) {
	dir := filepath.Join(s.work, fmt.Sprintf("%03d-%s", s.started, name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p, err := procs.Start(procs.Spec{Exe: exe, Dir: dir, Config: config, Args: args})
	if err == nil {
		v.procs = append(v.procs, p)
	}
	return p, err
}

// hub launches a server for clients and returns its client address.
func (s *side) hub(ctx context.Context, v *servers, name, config string) (string, error) {
	p, err := s.launch(v, s.Exe, name, config)
	if err != nil {
		return "", err
	}
	return client(ctx, p)
}

func client(ctx context.Context, p *procs.Process) (string, error) {
	ports, err := p.Ports(ctx)
	if err != nil {
		return "", err
	}
	if ports.Client() == "" {
		return "", fmt.Errorf("the ports file of %s names no client port", p.Dir())
	}
	return procs.Addr(ports.Client()), nil
}

func (s *side) startSingle(ctx context.Context, v *servers, sc *scenario) error {
	var addr string
	var err error
	if s.flags && !sc.tls && sc.conf == "" {
		addr, err = s.startByFlags(ctx, v)
	} else {
		addr, err = s.hub(ctx, v, "a", s.common("a", sc))
	}
	v.pub, v.sub = addr, addr
	if sc.tls {
		v.site.tls = s.tls.client
	}
	return err
}

// startByFlags is for servers without a ports file: the port is chosen before.
func (s *side) startByFlags(ctx context.Context, v *servers) (string, error) {
	free, err := v.reserve(1)
	if err != nil {
		return "", err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", free[0])
	p, err := s.launch(v, s.Exe, "a", "", "-a", "127.0.0.1", "-p", fmt.Sprint(free[0]))
	if err != nil {
		return "", err
	}
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			return addr, c.Close()
		}
		select {
		case <-p.Done():
			return "", errors.New("the server ended at once")
		case <-ctx.Done():
			return "", fmt.Errorf("nothing listens on %s: %w", addr, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (s *side) startRoute(ctx context.Context, v *servers, sc *scenario) (err error) {
	free, err := v.reserve(2)
	if err != nil {
		return err
	}
	conf := func(i int) string {
		return s.common(fmt.Sprintf("n%d", i), sc) + fmt.Sprintf(
			"cluster { name: bench, listen: \"127.0.0.1:%d\", routes: [ \"nats-route://127.0.0.1:%d\" ] }\n", free[i], free[1-i])
	}
	if v.pub, err = s.hub(ctx, v, "n0", conf(0)); err != nil {
		return err
	}
	v.sub, err = s.hub(ctx, v, "n1", conf(1))
	return err
}

// startLeaf puts publishers on the leaf node and subscribers on the hub.
func (s *side) startLeaf(ctx context.Context, v *servers, sc *scenario) (err error) {
	free, err := v.reserve(1)
	if err != nil {
		return err
	}
	leafExe := s.Exe
	if s.ours {
		if leafExe, err = s.beside("leafd"); err != nil {
			return err
		}
	}
	v.sub, err = s.hub(ctx, v, "hub", s.common("hub", sc)+fmt.Sprintf("leafnodes { listen: \"127.0.0.1:%d\" }\n", free[0]))
	if err != nil {
		return err
	}
	p, err := s.launch(v, leafExe, "leaf", s.common("leaf", sc)+
		fmt.Sprintf("leafnodes { remotes: [ { url: \"nats-leaf://127.0.0.1:%d\" } ] }\n", free[0]))
	if err != nil {
		return err
	}
	v.pub, err = client(ctx, p)
	return err
}

// startGateway makes two regions: of one server each for the reference, of a hub and a gateway process each for ours.
func (s *side) startGateway(ctx context.Context, v *servers, sc *scenario) (err error) {
	free, err := v.reserve(4)
	if err != nil {
		return err
	}
	names := [2]string{"east", "west"}
	conf := func(i int) string {
		c := s.common("hub-"+names[i], sc)
		if s.ours {
			c += fmt.Sprintf("cluster { name: %s, listen: \"127.0.0.1:%d\" }\n", names[i], free[2+i])
		}
		return c + fmt.Sprintf("gateway { name: %s, listen: \"127.0.0.1:%d\", gateways: [ { name: %s, urls: [ \"nats://127.0.0.1:%d\" ] } ] }\n",
			names[i], free[i], names[1-i], free[1-i])
	}
	for i, addr := range [2]*string{&v.pub, &v.sub} {
		if *addr, err = s.hub(ctx, v, "hub-"+names[i], conf(i)); err != nil {
			return err
		}
		if !s.ours {
			continue
		}
		gwd, err := s.beside("gwd")
		if err != nil {
			return err
		}
		if _, err := s.launch(v, gwd, "gwd-"+names[i], conf(i)); err != nil {
			return err
		}
	}
	return nil
}

// serverTLS is a certificate for 127.0.0.1 that both sides use.
type serverTLS struct {
	cert, key string // files
	client    *tls.Config
}

// makeTLS writes a self-signed certificate into dir.
func makeTLS(dir string) (*serverTLS, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	t := &serverTLS{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	t.client = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}
	return t, errors.Join(
		os.WriteFile(t.cert, certPEM, 0o600),
		os.WriteFile(t.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
}
