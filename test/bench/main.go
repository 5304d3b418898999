//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/banyanmq/banyan/test/procs"
)

// Exit codes.
const (
	exitOK    = 0
	exitWrong = 1 // a server lost, doubled, reordered or mixed up messages, or did not work
	exitUsage = 2 // the run could not begin
)

func main() { os.Exit(run(os.Args[1:])) }

type options struct {
	a, b                  string
	match                 *regexp.Regexp
	named                 bool // scenarios were chosen by the user
	quick, list           bool
	flags                 bool
	keep                  bool
	json, merge, markdown string
	plan                  plan
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&o.a, "a", "", "`binary` of side A; its gwd and leafd are looked for beside it (default: ours, built now)")
	fs.StringVar(&o.b, "b", "", "`binary` of side B, or none (default: NATS_SERVER, or nats-server on PATH)")
	pattern := fs.String("scenarios", "", "regular `expression` of scenario names; long ones run only when it is given")
	fs.BoolVar(&o.quick, "quick", false, "two short pairs of each scenario: a smoke test, not a measurement")
	fs.BoolVar(&o.list, "list", false, "print the scenarios and exit")
	start := fs.String("start", "conf", "start single servers with a settings file (conf) or with -a and -p (flags)")
	fs.BoolVar(&o.keep, "keep", false, "keep the servers' settings and directories")
	fs.StringVar(&o.json, "json", "", "write everything to a `file`")
	fs.StringVar(&o.merge, "merge", "", "JSON `file` of an earlier run of the same two servers: its other scenarios are reported too")
	fs.StringVar(&o.markdown, "markdown", "", "write a table to a `file`")
	fs.IntVar(&o.plan.pairs, "pairs", 5, "pairs of runs of each scenario")
	fs.IntVar(&o.plan.retries, "retries", 2, "times that a pair is measured again when other programs took more than a quarter of a core")
	fs.DurationVar(&o.plan.phase, "duration", 800*time.Millisecond, "load of each run")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if *start != "conf" && *start != "flags" {
		return o, fmt.Errorf("--start is conf or flags, not %q", *start)
	}
	if o.plan.pairs < 1 || o.plan.phase <= 0 {
		return o, errors.New("--pairs and --duration must be positive")
	}
	o.flags = *start == "flags"
	o.named = *pattern != ""
	o.plan.warm = 250 * time.Millisecond
	if o.quick {
		o.plan = plan{pairs: min(o.plan.pairs, 2), phase: min(o.plan.phase, 300*time.Millisecond), warm: 50 * time.Millisecond}
	}
	var err error
	if o.match, err = regexp.Compile(*pattern); err != nil {
		return o, fmt.Errorf("--scenarios: %w", err)
	}
	return o, nil
}

// chosen are the scenarios to run: slow ones not in a quick run, long ones only when named.
func (o *options) chosen() []scenario {
	var out []scenario
	for _, sc := range scenarios() {
		if !o.match.MatchString(sc.name) || !o.named && (sc.long || o.quick && sc.least > 2*time.Second) {
			continue
		}
		out = append(out, sc)
	}
	return out
}

func run(args []string) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitUsage
	}
	todo := o.chosen()
	if o.list {
		for _, sc := range todo {
			fmt.Printf("%-22s %s\n", sc.name, sc.title)
		}
		return exitOK
	}
	if len(todo) == 0 {
		fmt.Fprintln(os.Stderr, "bench: no scenario has such a name; see --list")
		return exitUsage
	}
	// The generator must not collect garbage while it measures; it makes little.
	debug.SetGCPercent(800)
	work, err := os.MkdirTemp("", "banyan-bench-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitUsage
	}
	if o.keep {
		fmt.Println("keeping", work)
	} else {
		defer os.RemoveAll(work)
	}
	sides, err := o.sides(work)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitUsage
	}
	return measureAll(&o, sides, todo)
}

// sides finds the two servers.
func (o *options) sides(work string) ([]*side, error) {
	certs, err := makeTLS(work)
	if err != nil {
		return nil, err
	}
	if o.a == "" {
		bins := procs.NewBinaries(work)
		for _, name := range []string{"hubd", "gwd", "leafd"} {
			path, err := bins.Build(context.Background(), name)
			if err != nil && name == "hubd" {
				return nil, err
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "bench: scenarios that need it are left out:", err)
			}
			if name == "hubd" {
				o.a = path
			}
		}
	}
	a, err := newSide("A", o.a, work, o.flags, certs)
	if err != nil {
		return nil, err
	}
	if o.b == "none" {
		return []*side{a}, nil
	}
	if o.b == "" {
		if o.b, err = procs.Reference(); errors.Is(err, procs.ErrNoReference) {
			fmt.Println(err)
			fmt.Println("measuring A alone: no ratios")
			return []*side{a}, nil
		} else if err != nil {
			return nil, err
		}
	}
	b, err := newSide("B", o.b, work, o.flags, certs)
	return []*side{a, b}, err
}

func measureAll(o *options, sides []*side, todo []scenario) int {
	rep := report{
		Date: time.Now(), Machine: thisMachine(), Sides: sides, Pairs: o.plan.pairs, Phase: o.plan.phase.Seconds(),
		Same: len(sides) == 2 && sides[0].Exe == sides[1].Exe,
	}
	for _, s := range sides {
		fmt.Printf("%s: %s, %s\n", s.Name, s.Exe, s.Version)
	}
	if rep.Same {
		fmt.Println("both sides are the same binary: ratios should be 1.0 within their range")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := exitOK
	r := runner{sides: sides, plan: o.plan, out: os.Stderr}
	tableHead(os.Stdout)
	for i := range todo {
		if ctx.Err() != nil {
			fmt.Println("interrupted: the results so far are kept")
			code = exitUsage
			break
		}
		res := r.scenario(&todo[i])
		fmt.Fprint(os.Stderr, "\r")
		res.line(os.Stdout)
		if res.Failure != "" {
			code = exitWrong
		}
		rep.Results = append(rep.Results, res)
	}
	if o.merge != "" {
		if err := rep.merge(o.merge); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			code = exitUsage
		}
	}
	if err := rep.write(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitUsage
	}
	return code
}

func (r *report) write(o *options) error {
	if o.json != "" {
		if err := r.writeJSON(o.json); err != nil {
			return err
		}
	}
	if o.markdown == "" {
		return nil
	}
	f, err := os.Create(o.markdown)
	if err != nil {
		return err
	}
	r.markdown(f)
	return f.Close()
}
