// Command cmd (go run ./test/delayproxy/cmd) forwards TCP connections with a delay until it is interrupted.
//
//	go run ./test/delayproxy/cmd --listen 127.0.0.1:7300 --target 127.0.0.1:7222 --rtt 80ms
//
// Lines on standard input steer it: "rtt 20ms", "freeze", "thaw", "cut", "refuse", "serve", "target host:port", "stats".
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/banyanmq/banyan/test/delayproxy"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "`address` to accept connections on")
	target := flag.String("target", "", "`address` to forward to")
	rtt := flag.Duration("rtt", 0, "round-trip time to add")
	flag.Parse()
	p, err := delayproxy.Start(delayproxy.Config{Listen: *listen, Target: *target, RTT: *rtt})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("listening on %s\n", p.Addr())
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			fmt.Println(obey(p, in.Text()))
		}
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	_ = p.Close()
}

// obey does what a line says and returns the answer.
func obey(p *delayproxy.Proxy, line string) string {
	verb, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch verb {
	case "rtt":
		d, err := time.ParseDuration(arg)
		if err != nil {
			return "error: " + err.Error()
		}
		p.SetRTT(d)
	case "target":
		p.SetTarget(arg)
	case "freeze":
		p.Freeze()
	case "thaw":
		p.Thaw()
	case "refuse", "serve":
		p.Refuse(verb == "refuse")
	case "cut":
		return fmt.Sprintf("ok %d", p.Cut())
	case "stats":
		b, _ := json.Marshal(p.Stats())
		return string(b)
	default:
		return fmt.Sprintf("error: unknown word %q; there are rtt, target, freeze, thaw, refuse, serve, cut, stats", verb)
	}
	return "ok"
}
