package helm

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A machine runs pods as processes on loopback addresses, the way a kubelet would
// run them in containers. What it takes from a manifest as it stands: command,
// arguments, environment (with $(NAME), fieldRef and secretKeyRef), the files of
// ConfigMaps and Secrets in the kubelet's layout, probes, the hook before the stop and
// the time until it kills. What one machine cannot have is replaced:
//
//   - a mount path P of a pod is ROOT/P, ROOT being the pod's own directory; where
//     P stands in arguments, environment and settings it is rewritten
//   - a named container port gets a port of 127.0.0.1 that is free; the daemon is told
//     by a variable, such as HUBD_CLUSTER_LISTEN for the port "cluster" of a hub
//   - NAME:PORT of a pod or a service is rewritten to the address of the process, or
//     of a balancer that stands for the service
//
// Limits, security contexts and network policies have no effect here.
type machine struct {
	t        *testing.T
	ctx      context.Context
	bin      string
	dir      string
	secrets  string // a directory SECRET/KEY for each Secret that the chart does not make
	rendered *rendered
	made     *rendered // whose generated Secrets stay, as they do in a cluster
	pods     []*pod
	// names by which processes are reached, host:port, and where they are.
	names map[string]string
}

// pod is one process.
type pod struct {
	m         *machine
	w         *workload
	name      string
	container corev1.Container
	root      string
	ports     map[string]string // by name: 127.0.0.1:n
	held      []net.Listener
	cmd       *exec.Cmd
	log       *logBuffer
	started   atomic.Bool
	gone      chan struct{} // closed when the process has ended
}

// listens: which setting a container's port is, so that it can be another one here.
var listens = map[string]map[string]string{
	"hubd":  {"nats": "CLIENTS", "cluster": "CLUSTER", "leafnodes": "LEAFS", "websocket": "WEBSOCKET", "monitor": "MONITOR"},
	"gwd":   {"gateway": "GATEWAY", "cluster": "CLUSTER", "monitor": "MONITOR"},
	"leafd": {"leaf": "CLIENTS", "monitor": "MONITOR"},
}

func newMachine(t *testing.T, r *rendered, secrets string) *machine {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return &machine{t: t, ctx: ctx, bin: binaries(t), dir: t.TempDir(), secrets: secrets, rendered: r, made: r, names: map[string]string{}}
}

// place makes the pods of a workload, without starting them, and gives them addresses.
func (m *machine) place(name string) []*pod {
	m.t.Helper()
	w := m.rendered.workload(name)
	if w == nil {
		m.t.Fatalf("there is no workload %s", name)
	}
	var list []*pod
	for i := range w.replicas {
		p := &pod{m: m, w: w, name: fmt.Sprintf("%s-%d", name, i), container: w.spec.Containers[0], ports: map[string]string{}, log: &logBuffer{}, gone: make(chan struct{})}
		if w.kind != "StatefulSet" {
			p.name = fmt.Sprintf("%s-6d4cf56db6-x%dvt7", name, i)
		}
		p.root = filepath.Join(m.dir, p.name)
		for _, c := range p.container.Ports {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				m.t.Fatal(err)
			}
			p.held = append(p.held, l)
			p.ports[c.Name] = l.Addr().String()
			if w.kind == "StatefulSet" { // a name in the headless service
				m.names[fmt.Sprintf("%s.%s-headless:%d", p.name, name, c.ContainerPort)] = p.ports[c.Name]
			}
		}
		m.pods = append(m.pods, p)
		list = append(list, p)
	}
	return list
}

// rewrite puts the pod's own paths, and the addresses of names, into a text.
func (p *pod) rewrite(text string) string {
	mounts := slices.Clone(p.container.VolumeMounts)
	slices.SortFunc(mounts, func(a, b corev1.VolumeMount) int { return len(b.MountPath) - len(a.MountPath) })
	for _, m := range mounts {
		text = regexp.MustCompile(`(^|[\s"'=:(\[])`+regexp.QuoteMeta(m.MountPath)+`(/|$|[\s"',\]}])`).ReplaceAllString(text, "${1}"+filepath.Join(p.root, m.MountPath)+"${2}")
	}
	for name, addr := range p.m.names {
		text = regexp.MustCompile(`(^|[/@"'\s])`+regexp.QuoteMeta(name)+`\b`).ReplaceAllString(text, "${1}"+addr)
	}
	return text
}

// volume fills one volume of the pod, in the layout that the kubelet makes.
func (p *pod) volume(name string, files map[string]string) {
	for _, mount := range p.container.VolumeMounts {
		if mount.Name == name {
			p.swap(filepath.Join(p.root, mount.MountPath), files)
		}
	}
}

// swap puts files into a directory as the kubelet does: all at once, by a link.
func (p *pod) swap(dir string, files map[string]string) {
	t := p.m.t
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.MkdirAll(dir, 0o755))
	real, err := os.MkdirTemp(dir, "..2026_")
	check(err)
	for name, text := range files {
		check(os.WriteFile(filepath.Join(real, name), []byte(text), 0o600))
	}
	check(os.Symlink(filepath.Base(real), filepath.Join(dir, "..data_tmp")))
	check(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	for name := range files {
		if link := filepath.Join(dir, name); !exists(link) {
			check(os.Symlink(filepath.Join("..data", name), link))
		}
	}
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

// secret is the content of a Secret: the chart's own, or one that was made.
func (m *machine) secret(name string) map[string]string {
	m.t.Helper()
	files := map[string]string{}
	if o := m.made.find("Secret", name); o != nil {
		s := o.typed.(*corev1.Secret)
		for k, v := range s.Data {
			files[k] = string(v)
		}
		for k, v := range s.StringData {
			files[k] = v
		}
		return files
	}
	list, err := os.ReadDir(filepath.Join(m.secrets, name))
	if err != nil {
		m.t.Fatalf("Secret %s: %v", name, err)
	}
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(m.secrets, name, e.Name()))
		if err != nil {
			m.t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}

// mount makes all volumes.
func (p *pod) mount() {
	for _, v := range p.w.spec.Volumes {
		switch {
		case v.Secret != nil:
			p.volume(v.Name, p.m.secret(v.Secret.SecretName))
		case v.ConfigMap != nil:
			p.mountConfig(v.Name, p.m.rendered)
		}
	}
	for _, mount := range p.container.VolumeMounts { // emptyDir, and claims
		if err := os.MkdirAll(filepath.Join(p.root, mount.MountPath), 0o755); err != nil {
			p.m.t.Fatal(err)
		}
	}
}

// mountConfig fills the volume of a ConfigMap from what was rendered.
func (p *pod) mountConfig(volume string, r *rendered) {
	for _, v := range p.w.spec.Volumes {
		if v.Name != volume || v.ConfigMap == nil {
			continue
		}
		o := r.find("ConfigMap", v.ConfigMap.Name)
		if o == nil {
			p.m.t.Fatalf("%s: there is no ConfigMap %s", p.name, v.ConfigMap.Name)
		}
		files := map[string]string{}
		for k, text := range o.typed.(*corev1.ConfigMap).Data {
			files[k] = p.rewrite(text)
		}
		p.volume(volume, files)
	}
}

// env is the container's environment, with references resolved and $(NAME) filled in.
func (p *pod) env() []string {
	var list []string
	known := map[string]string{}
	add := func(name, value string) {
		for k, v := range known {
			value = strings.ReplaceAll(value, "$("+k+")", v)
		}
		known[name] = value
		list = append(list, name+"="+p.rewrite(value))
	}
	for _, e := range p.container.Env {
		switch from := e.ValueFrom; {
		case from == nil:
			add(e.Name, e.Value)
		case from.SecretKeyRef != nil:
			value, ok := p.m.secret(from.SecretKeyRef.Name)[from.SecretKeyRef.Key]
			if !ok {
				p.m.t.Fatalf("%s: Secret %s has no key %s", p.name, from.SecretKeyRef.Name, from.SecretKeyRef.Key)
			}
			add(e.Name, value)
		case from.FieldRef != nil:
			value, ok := map[string]string{"metadata.name": p.name, "spec.nodeName": "node-1", "status.hostIP": "127.0.0.1"}[from.FieldRef.FieldPath]
			if !ok {
				p.m.t.Fatalf("%s: field %s", p.name, from.FieldRef.FieldPath)
			}
			add(e.Name, value)
		}
	}
	exe := p.container.Command[0]
	for port, block := range listens[exe] {
		if addr := p.ports[port]; addr != "" {
			if port == "monitor" && p.container.ReadinessProbe.HTTPGet.Scheme == corev1.URISchemeHTTPS {
				block += "_HTTPS"
			}
			list = append(list, strings.ToUpper(exe)+"_"+block+"_LISTEN="+addr)
		}
	}
	return list
}

func (p *pod) args(line ...string) []string {
	out := make([]string, len(line))
	for i, a := range line {
		out[i] = p.rewrite(a)
	}
	out[0] = filepath.Join(p.m.bin, path.Base(out[0]))
	return out
}

// check runs "DAEMON check" with what a start would get.
func (p *pod) check() (string, error) {
	line := p.args(slices.Concat(p.container.Command, []string{"check"}, p.container.Args)...)
	cmd := exec.CommandContext(p.m.ctx, line[0], line[1:]...)
	cmd.Env, cmd.Dir = p.env(), p.m.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// start starts the process.
func (p *pod) start() {
	t := p.m.t
	t.Helper()
	line := p.args(slices.Concat(p.container.Command, p.container.Args)...)
	p.cmd = exec.Command(line[0], line[1:]...)
	p.cmd.Env, p.cmd.Dir = p.env(), p.m.dir
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.release()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.started.Store(true)
	go func() {
		_ = p.cmd.Wait() // the state says how it went
		close(p.gone)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.gone
		if t.Failed() {
			t.Logf("%s:\n%s", p.name, p.log.tail(40))
		}
	})
}

// release lets go of the ports that were kept for the process.
func (p *pod) release() {
	for _, l := range p.held {
		l.Close()
	}
	p.held = nil
}

// up starts pods together, as a StatefulSet with Parallel does, and waits until their
// readiness probes succeed.
func (m *machine) up(pods ...*pod) {
	m.t.Helper()
	for _, p := range pods {
		p.mount()
	}
	for _, p := range pods {
		p.start()
	}
	for _, p := range pods {
		await(m.t, 20*time.Second, p.name+" is ready", func() error {
			for what, probe := range map[string]*corev1.Probe{"startup": p.container.StartupProbe, "readiness": p.container.ReadinessProbe, "liveness": p.container.LivenessProbe} {
				if err := p.probe(probe); err != nil {
					return fmt.Errorf("%s: %w", what, err)
				}
			}
			return nil
		})
	}
}

func (p *pod) probe(probe *corev1.Probe) error {
	select {
	case <-p.gone:
		return fmt.Errorf("the process has ended: %s\n%s", p.cmd.ProcessState, p.log.tail(10))
	default:
	}
	body, code, err := p.get(probe.HTTPGet.Path)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("%d %s", code, body)
	}
	return err
}

// get asks the monitoring port.
func (p *pod) get(path string) (string, int, error) {
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get("http://" + p.ports["monitor"] + path)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), res.StatusCode, err
}

// stop does what a kubelet does with a pod that is deleted: the hook, then SIGTERM, and
// SIGKILL when the grace period is over. It returns the exit code.
func (p *pod) stop() int {
	t := p.m.t
	t.Helper()
	line := p.args(p.container.Lifecycle.PreStop.Exec.Command...)
	if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: the hook %v: %v\n%s", p.name, line, err, out)
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have gone already
	select {
	case <-p.gone:
	case <-time.After(time.Duration(*p.w.spec.TerminationGracePeriodSeconds) * time.Second):
		t.Fatalf("%s has not gone within its grace period", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// balancer stands for a load balancer: it takes connections and hands them to the pods
// that are ready, one after the other.
func (m *machine) balancer(name string, port string, pods func() []*pod) {
	m.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	m.names[name] = l.Addr().String()
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(m.ctx)
	m.t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	var turn atomic.Int64
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { m.carry(ctx, c, port, pods(), int(turn.Add(1))) })
		}
	})
}

func (m *machine) carry(ctx context.Context, from net.Conn, port string, pods []*pod, turn int) {
	defer from.Close()
	for i := range pods {
		p := pods[(turn+i)%len(pods)]
		if !p.started.Load() || p.probe(p.container.ReadinessProbe) != nil {
			continue
		}
		to, err := net.Dial("tcp", p.ports[port])
		if err != nil {
			continue
		}
		defer to.Close()
		done := make(chan struct{}, 2)
		for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
			go func() {
				_, _ = io.Copy(way[0], way[1]) // what was sent before the end arrives before the end
				_ = way[0].(*net.TCPConn).CloseWrite()
				done <- struct{}{}
			}()
		}
		for range 2 {
			select {
			case <-done:
			case <-ctx.Done():
				return
			}
		}
		return
	}
}

// await calls a function until it is content.
func await(t *testing.T, limit time.Duration, what string, f func() error) {
	t.Helper()
	begin := time.Now()
	end := begin.Add(limit)
	for {
		err := f()
		if err == nil {
			if took := time.Since(begin); took > 3*time.Second {
				t.Logf("after %v: %s", took.Round(time.Millisecond), what)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not after %v: %s: %v", limit, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

type logBuffer struct {
	mu  sync.Mutex
	buf []byte
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	return len(b), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}

func (l *logBuffer) tail(n int) string {
	lines := strings.Split(strings.TrimSpace(l.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

var buildOnce = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("BANYAN_BIN"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := filepath.Abs(builtDir)
	if err != nil {
		return "", err
	}
	for _, d := range []string{"hubd", "gwd", "leafd"} {
		out, err := exec.Command("go", "build", "-C", "../..", "-o", filepath.Join(dir, d), "./cmd/"+d).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("building %s: %w\n%s", d, err, out)
		}
	}
	return dir, nil
})

var builtDir string

// binaries is the directory of the three daemons, built when they are first wanted. BANYAN_BIN names one that has them.
func binaries(t *testing.T) string {
	t.Helper()
	dir, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "banyan-helm-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	builtDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}
