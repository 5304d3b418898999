package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
)

func newPub(exe string) *cobra.Command {
	var (
		c       connection
		p       payload
		reply   string
		asJSON  bool
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "pub SUBJECT [PAYLOAD | -]",
		Short: "Publish messages",
		Long: `Publish a message, or one for each line of stdin.

Lines are read when no payload is given and stdin is not a terminal, or with
"-". An empty payload is '' on the command line. The command ends when the
server has taken everything; publishing is then as sure as core messages are:
at most once.

` + exitCodesHelp,
		Example: example(exe, `pub news.sfo "it rains"
pub -H "Priority: high" news.sfo "it pours"
tail -f /var/log/syslog | EXE pub logs.$(hostname)
pub load.test --size 128 --count 100000 --rate 5000
pub image.raw --whole < picture.png`),
		Args: usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			header, err := parseHeaders(p.headers)
			if err != nil {
				return err
			}
			if err := publishable(args[0]); err != nil {
				return err
			}
			if reply != "" {
				if err := publishable(reply); err != nil {
					return err
				}
			}
			next, err := p.open(cmd, args[1:], true)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			nc, err := c.dial(ctx, cmd, silentErrors())
			if err != nil {
				return err
			}
			defer nc.Close()

			doing := "publishing to " + clean(args[0])
			pace, start := newPacer(p.rate), time.Now()
			messages, bytes, interrupted := 0, 0, false
			for {
				if interrupted = !pace.wait(ctx); interrupted {
					break
				}
				data, err := next(ctx)
				if interrupted = ctx.Err() != nil; interrupted || errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return err
				}
				m := nats.Msg{Subject: args[0], Reply: reply, Header: header, Data: data}
				if err := nc.PublishMsg(&m); err != nil {
					return clientError(err, fmt.Sprintf("%s: message %d of %d bytes", doing, messages+1, len(data)))
				}
				messages++
				bytes += len(data)
			}
			if err := settle(nc, timeout, doing); err != nil {
				return err
			}
			took := time.Since(start)
			if asJSON {
				if err := writeJSONLine(cmd.OutOrStdout(), map[string]any{
					"subject": args[0], "messages": messages, "bytes": bytes,
					"elapsed_ms": float64(took) / float64(time.Millisecond)}); err != nil {
					return err
				}
			}
			c.notef(cmd, "published %d messages, %d bytes, in %s", messages, bytes, took.Round(time.Microsecond))
			if interrupted {
				return exit(ExitInterrupted, nil)
			}
			return nil
		},
	}
	c.register(cmd)
	p.register(cmd)
	cmd.Flags().StringVar(&reply, "reply", "", "reply `subject` of the messages")
	addSwitch(cmd.Flags(), &asJSON, "json", "j", "print a summary as JSON when done")
	cmd.Flags().DurationVarP(&timeout, "timeout", "t", flushTimeout, "wait this long for the server to take the last message")
	return cmd
}

// silentErrors leaves the server's complaints to settle, which gives them an exit code.
func silentErrors() nats.Option {
	return nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
}
