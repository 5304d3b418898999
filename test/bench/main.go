//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
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
	a, b                          string
	set                           string
	match                         *regexp.Regexp
	quick, list                   bool
	flags                         bool
	keep                          bool
	json, merge, markdown, images string
	profiles, section             string
	limit                         time.Duration
	plan                          plan
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&o.a, "a", "", "`binary` of side A; its gwd and leafd are looked for beside it (default: ours, built now)")
	fs.StringVar(&o.b, "b", "", "`binary` of side B, or none (default: NATS_SERVER, or nats-server on PATH)")
	fs.StringVar(&o.set, "set", usual, "`set` of scenarios: "+strings.Join(sets(), ", "))
	pattern := fs.String("scenarios", "", "regular `expression` of scenario names of the set")
	fs.BoolVar(&o.quick, "quick", false, "two short pairs of each scenario: a smoke test, not a measurement")
	fs.BoolVar(&o.list, "list", false, "print the scenarios and exit")
	start := fs.String("start", "conf", "start single servers with a settings file (conf) or with -a and -p (flags)")
	fs.BoolVar(&o.keep, "keep", false, "keep the servers' settings and directories")
	fs.StringVar(&o.json, "json", "", "write everything to a `file`")
	fs.StringVar(&o.merge, "merge", "", "JSON `file` of an earlier run of the same servers and set: its other scenarios are reported too")
	fs.StringVar(&o.markdown, "markdown", "", "`document` of which the section of the set is replaced")
	fs.StringVar(&o.section, "section", "", "`name` of the document's section (default: the set)")
	fs.StringVar(&o.images, "images", "", "`directory` for pictures of the document (default: images/bench beside it)")
	fs.StringVar(&o.profiles, "profiles", "", "`directory` for CPU profiles of all servers under each load")
	fs.DurationVar(&o.limit, "limit", 0, "begin no scenario after this `time`; 0: no limit")
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
	if !slices.Contains(sets(), o.set) {
		return o, fmt.Errorf("--set is one of %s, not %q", strings.Join(sets(), ", "), o.set)
	}
	if o.section == "" {
		o.section = o.set
	}
	if o.images == "" {
		o.images = filepath.Join(filepath.Dir(o.markdown), "images", "bench")
	}
	o.flags = *start == "flags"
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

// chosen are the scenarios to run: slow ones not in a quick run.
func (o *options) chosen() []scenario {
	var out []scenario
	for _, sc := range scenarios() {
		if sc.set == o.set && o.match.MatchString(sc.name) && !(o.quick && sc.least > 2*time.Second) {
			out = append(out, sc)
		}
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
	sides, missing, err := o.sides(work)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitUsage
	}
	for _, why := range missing {
		fmt.Println("left out:", why)
	}
	return measureAll(&o, sides, missing, todo)
}

// sides finds the servers to compare; missing says who could have been one of them, and why not.
func (o *options) sides(work string) (sides []*side, missing []string, err error) {
	certs, err := makeTLS(work)
	if err != nil {
		return nil, nil, err
	}
	if err := o.build(work); err != nil {
		return nil, nil, err
	}
	if o.set == gc {
		for _, t := range tunings() {
			s, err := newSide(t.name, o.a, work, false, certs)
			if err != nil {
				return nil, nil, err
			}
			s.Env = t.env
			sides = append(sides, s)
		}
		return sides, nil, nil
	}
	names := [2]string{"A", "B"}
	if o.set == rivals {
		names = [2]string{"hubd", "nats-server"}
	}
	a, err := newSide(names[0], o.a, work, o.flags, certs)
	if err != nil {
		return nil, nil, err
	}
	sides = append(sides, a)
	if o.b == "" {
		if o.b, err = procs.Reference(); errors.Is(err, procs.ErrNoReference) {
			missing = append(missing, err.Error())
			o.b = "none"
		} else if err != nil {
			return nil, nil, err
		}
	}
	if o.b != "none" {
		b, err := newSide(names[1], o.b, work, o.flags, certs)
		if err != nil {
			return nil, nil, err
		}
		sides = append(sides, b)
	}
	if o.set == rivals {
		for _, b := range brokers() {
			s, err := b.side(work)
			if err != nil {
				missing = append(missing, err.Error())
				continue
			}
			sides = append(sides, s)
		}
	}
	for _, s := range sides {
		s.profile = o.profiles != ""
	}
	return sides, missing, nil
}

// build makes our daemons, unless a hub is named.
func (o *options) build(work string) error {
	if o.a != "" {
		return nil
	}
	bins := procs.NewBinaries(work)
	for _, name := range []string{"hubd", "gwd", "leafd"} {
		path, err := bins.Build(context.Background(), name)
		if err != nil && name == "hubd" {
			return err
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: scenarios that need it are left out:", err)
		}
		if name == "hubd" {
			o.a = path
		}
	}
	return nil
}

func measureAll(o *options, sides []*side, missing []string, todo []scenario) int {
	rep := report{
		Set: o.section, Date: time.Now(), Machine: thisMachine(), Sides: sides, Missing: missing,
		Pairs: o.plan.pairs, Phase: o.plan.phase.Seconds(),
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
	r := runner{sides: sides, plan: o.plan, profiles: o.profiles, out: os.Stderr}
	tableHead(os.Stdout, sides)
	began := time.Now()
	for i := range todo {
		if ctx.Err() != nil {
			fmt.Println("interrupted: the results so far are kept, but no document is written")
			o.markdown, code = "", exitUsage
			break
		}
		if o.limit > 0 && time.Since(began) > o.limit {
			fmt.Printf("%v are over: %d scenarios were not begun, %s the first of them\n", o.limit, len(todo)-i, todo[i].name)
			o.markdown, code = "", exitUsage // part of a set is no section
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
	return r.writeDocument(o.markdown, o.images)
}
