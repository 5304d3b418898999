//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/banyanmq/banyan/test/bench/dialect"
	"github.com/banyanmq/banyan/test/procs"
)

// broker is a messaging server of another protocol, measured over its own. All are started by hand on loopback, without
// persistence, with limits that let the loads through.
type broker struct {
	name    string
	exe     string   // where Debian puts it
	version []string // arguments that make it tell its version
	speak   func() dialect.Dialect
	launch  func(s *side, v *servers, port int) error
}

func brokers() []*broker {
	return []*broker{
		{name: "mosquitto", exe: "mosquitto", version: []string{"-h"}, launch: startMosquitto,
			speak: func() dialect.Dialect { return &dialect.MQTT{} }},
		{name: "redis", exe: "redis-server", version: []string{"--version"}, launch: startRedis,
			speak: func() dialect.Dialect { return dialect.RESP{} }},
		{name: "rabbitmq", exe: rabbitServer, launch: startRabbit,
			speak: func() dialect.Dialect { return &dialect.AMQP{} }},
	}
}

// installed returns a side for the broker, an error when it is not on this machine.
func (b *broker) side(work string) (*side, error) {
	path := b.exe
	for _, dir := range []string{"", "/usr/sbin", "/usr/bin"} { // daemons are not always on PATH
		if found, err := exec.LookPath(filepath.Join(dir, b.exe)); err == nil {
			path = found
			break
		}
	}
	if _, err := exec.LookPath(path); err != nil {
		return nil, fmt.Errorf("%s is not installed", b.name)
	}
	s := &side{Name: b.name, Exe: path, broker: b, work: filepath.Join(work, b.name)}
	if len(b.version) > 0 {
		out, _ := exec.Command(path, b.version...).Output() // help makes some exit with a code
		s.Version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	}
	if b.exe == rabbitServer {
		s.Version = rabbitVersion()
	}
	return s, os.MkdirAll(s.work, 0o700)
}

// start runs the broker and waits until it takes clients.
func (b *broker) start(ctx context.Context, s *side, v *servers) error {
	free, err := v.reserve(3)
	if err != nil {
		return err
	}
	if err := b.launch(s, v, free[0]); err != nil {
		return err
	}
	v.speak = b.speak()
	v.pub = fmt.Sprintf("127.0.0.1:%d", free[0])
	v.subs = []string{v.pub}
	return awaitListener(ctx, v.procs[len(v.procs)-1], v.pub)
}

// awaitListener waits until somebody listens on addr.
func awaitListener(ctx context.Context, p *procs.Process, addr string) error {
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case <-p.Done():
			return errors.New("the server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on %s: %w", addr, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func startMosquitto(s *side, v *servers, port int) error {
	conf := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"+
		"max_queued_messages 0\nmax_inflight_messages 0\nlog_type error\n", port)
	if os.Getuid() == 0 {
		conf += "user root\n" // else it gives up root and its directory with it
	}
	_, err := s.launch(v, s.Exe, "mosquitto", conf)
	return err
}

func startRedis(s *side, v *servers, port int) error {
	_, err := s.launch(v, s.Exe, "redis", "", "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--maxclients", "19900", "--client-output-buffer-limit", "pubsub 0 0 0", "--loglevel", "warning", "--daemonize", "no")
	return err
}

// rabbitServer is the script itself: the one on PATH wants to change to a user of its own.
const rabbitServer = "/usr/lib/rabbitmq/bin/rabbitmq-server"

func rabbitVersion() string {
	dirs, _ := filepath.Glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*")
	for _, d := range dirs {
		return "RabbitMQ " + strings.TrimPrefix(filepath.Base(d), "rabbitmq_server-")
	}
	return "RabbitMQ"
}

// startRabbit runs Erlang's name server and the broker, both on ports of their own, with all files in the side's directory.
func startRabbit(s *side, v *servers, port int) error {
	names, dist := fmt.Sprint(v.ports.Ports[1]), fmt.Sprint(v.ports.Ports[2])
	if _, err := s.launch(v, "epmd", "epmd", "", "-port", names, "-address", "127.0.0.1"); err != nil {
		return err
	}
	dir := filepath.Join(s.work, fmt.Sprintf("%03d-rabbit-files", s.started))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	conf := filepath.Join(dir, "rabbitmq.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "listeners.tcp.local = 127.0.0.1:%d\nheartbeat = 0\nlog.console = false\n"+
		"log.file.level = error\n", port), 0o600); err != nil {
		return err
	}
	_, err := s.launchWith(v, procs.Spec{Exe: s.Exe, Env: []string{
		"RUNNING_UNDER_SYSTEMD=1", // the script becomes the broker instead of watching it
		"HOME=" + dir,             // for its cookie
		"ERL_EPMD_PORT=" + names, "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_DIST_PORT=" + dist,
		"RABBITMQ_NODENAME=bench@localhost", "RABBITMQ_MNESIA_BASE=" + dir, "RABBITMQ_LOG_BASE=" + dir,
		"RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"),
		"RABBITMQ_CONFIG_FILE=" + conf, "RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"),
		"RABBITMQ_FEATURE_FLAGS_FILE=" + filepath.Join(dir, "flags"), "RABBITMQ_GENERATED_CONFIG_DIR=" + filepath.Join(dir, "generated"),
	}}, "rabbitmq")
	return err
}

// mostPairs have 19,000 connections; a process may have 20,000 open files here.
const mostPairs = 9500

// brokerScenarios are independent pairs at a fixed rate each, as many as open files allow, and one publisher for many. They
// ask for nothing that a broker of another protocol lacks.
func brokerScenarios() []scenario {
	var all []scenario
	for _, p := range []struct {
		pairs int
		each  float64 // messages a second of each pair
		most  int
	}{{10, 10, 0}, {100, 10, 0}, {1000, 10, 3}, {mostPairs, 1, 1}} {
		all = append(all, scenario{
			name: fmt.Sprintf("brokers-pairs-%d", p.pairs), title: fmt.Sprintf("%s pairs, %s messages/s each", thousands(p.pairs), short(p.each)),
			per: perMessage, most: p.most, alone: true, least: 3 * time.Second,
			open: delivery{pubs: p.pairs, subscribers: p.pairs, pairs: true, size: 128, rate: float64(p.pairs) * p.each}.open,
		})
	}
	for _, f := range []struct {
		width int
		rate  float64
	}{{10, 200}, {100, 100}, {1000, 10}} {
		all = append(all, scenario{
			name: fmt.Sprintf("brokers-fanout-%d", f.width), title: fmt.Sprintf("1 to %s, %.0f messages/s", thousands(f.width), f.rate),
			per: perPublished, alone: true, least: 3 * time.Second, most: 3,
			open: delivery{pubs: 1, subscribers: f.width, size: 128, rate: f.rate}.open,
		})
	}
	return append(all, scenario{name: "brokers-flood", title: "1:1 as fast as it goes, 128 B", per: perMessage, alone: true,
		open: delivery{pubs: 1, subscribers: 1, size: 128}.open})
}
