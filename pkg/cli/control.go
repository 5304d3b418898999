package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/process"
)

// control is what reload, drain and stop have in common: which process is meant.
type control struct {
	exe    string
	daemon Daemon
	word   string
	sig    syscall.Signal
	file   string
	wait   time.Duration
	c      connection
	id     string
}

func newControls(exe string, d Daemon) []*cobra.Command {
	return []*cobra.Command{
		newControl(exe, d, "reload", "Tell a running daemon to read its settings again", `Tell a running daemon to read its settings again: by a signal, or with --server by
a request of its system account, which also says what came of it.`, syscall.SIGHUP),
		newControl(exe, d, "drain", "Tell a running daemon to send its clients away, then stop", `Tell a running daemon to send its clients and leaf nodes elsewhere, one by one
over lifecycle.drain, and then to stop (lame duck).`, process.Drain),
		newControl(exe, d, "stop", "Tell a running daemon to stop", `Tell a running daemon to stop at once, cleanly.`, syscall.SIGINT),
	}
}

func newControl(exe string, d Daemon, word, short, long string, sig syscall.Signal) *cobra.Command {
	k := &control{exe: exe, daemon: d, word: word, sig: sig}
	cmd := &cobra.Command{
		Use:   word + " [PID | PIDFILE]",
		Short: short,
		Long: long + `

Which process: a number, a file that holds it, with -c the pid file that these
settings name, else the only other process named ` + exe + `.

` + exitCodesHelp,
		Example: example(exe, word+" /run/EXE/EXE.pid\n"+word+" -c /etc/EXE/EXE.yaml"+map[string]string{
			"reload": "\nreload --server nats://127.0.0.1:4222 --creds sys.creds", "drain": " --wait 3m", "stop": " --wait 10s"}[word]),
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: k.run,
	}
	f := cmd.Flags()
	f.StringVarP(&k.file, "config", "c", "", "settings `file` whose pid file names the process")
	if word == "reload" {
		k.c.register(cmd)
		f.Lookup("server").Usage = "ask the server at this `URL` instead of sending a signal; the user must be of the system account"
		f.StringVar(&k.id, "id", "", "with --server: `id` of another server of the cluster")
		return cmd
	}
	f.DurationVar(&k.wait, "wait", 0, "wait this long until the process is gone")
	return cmd
}

func (k *control) run(cmd *cobra.Command, args []string) error {
	if k.c.server != "" {
		if k.file != "" || len(args) > 0 {
			return usagef("--server names the daemon; leave the process out")
		}
		return k.request(cmd)
	}
	target := ""
	switch {
	case len(args) == 1 && k.file != "":
		return usagef("give a process or -c, not both")
	case len(args) == 1:
		target = args[0]
	case k.file != "":
		cfg, _, err := config.Load(config.LoadOptions{Daemon: k.daemon.Name, File: k.file, Env: os.Environ()})
		if err != nil {
			return err
		}
		if cfg.PidFile == "" {
			return exitf(ExitFailure, "%s names no pid file (lifecycle.pid_file): give the process", k.file)
		}
		target = cfg.PidFile
	}
	pids, err := targets(k.exe, target)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := process.Send(pid, k.sig); err != nil {
			return fmt.Errorf("%s %d: %w", k.word, pid, err)
		}
	}
	if k.wait <= 0 {
		return nil
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	return gone(ctx, pids, k.wait)
}

// gone waits until processes are.
func gone(ctx context.Context, pids []int, limit time.Duration) error {
	end := time.Now().Add(limit)
	for _, pid := range pids {
		for process.Exists(pid) {
			if time.Now().After(end) {
				return exitf(ExitTimeout, "process %d is still there after %v", pid, limit)
			}
			if !pause(ctx, 50*time.Millisecond) {
				return exit(ExitInterrupted, nil)
			}
		}
	}
	return nil
}

// request asks a server to reload; it answers when it has.
func (k *control) request(cmd *cobra.Command) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	nc, err := k.c.dial(ctx, cmd, silentErrors())
	if err != nil {
		return err
	}
	defer nc.Close()
	id := k.id
	if id == "" {
		id = nc.ConnectedServerId()
	}
	asked, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	m, err := nc.RequestWithContext(asked, "$SYS.REQ.SERVER."+id+".RELOAD", nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return exitf(ExitNoResponders, "nobody reloads %s: is the user of the system account?", clean(id))
	}
	if err != nil {
		return clientError(err, "asking "+clean(id)+" to reload")
	}
	var answer struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("the answer of %s is not understood: %w", clean(id), err)
	}
	if answer.Error != nil {
		return exitf(ExitFailure, "%s", clean(answer.Error.Description))
	}
	return nil
}
