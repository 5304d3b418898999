package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// payload holds the flags of commands that send messages.
type payload struct {
	headers []string
	count   int
	rate    float64
	size    int
	whole   bool
}

func (p *payload) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVarP(&p.headers, "header", "H", nil, "header `\"Name: value\"`; may be given several times")
	f.IntVarP(&p.count, "count", "n", 1, "send this many messages")
	f.Float64Var(&p.rate, "rate", 0, "at most this many messages a second (default: as fast as it goes)")
	f.IntVar(&p.size, "size", 0, "payload of this many bytes when none is given")
	addSwitch(f, &p.whole, "whole", "", "all of stdin is one payload, byte for byte")
}

// source yields payloads until io.EOF, or until the context ends. The slice is
// valid until the next call.
type source func(context.Context) ([]byte, error)

// open says where payloads come from: the argument, --size, or stdin.
// stdinByDefault also reads stdin when no payload is given and stdin is not a terminal.
func (p *payload) open(cmd *cobra.Command, args []string, stdinByDefault bool) (source, error) {
	switch {
	case p.count < 1:
		return nil, usagef("--count %d: at least 1", p.count)
	case p.rate < 0:
		return nil, usagef("--rate %v: not below 0", p.rate)
	case p.size < 0:
		return nil, usagef("--size %d: not below 0", p.size)
	}
	in := cmd.InOrStdin()
	given := len(args) > 0
	sized := cmd.Flags().Changed("size")
	fromStdin := given && args[0] == "-" || p.whole || !given && !sized && stdinByDefault && !isTerminal(in)
	switch {
	case p.whole && given && args[0] != "-":
		return nil, usagef("--whole reads stdin: leave the payload away")
	case sized && (given || p.whole):
		return nil, usagef("--size makes a payload: leave the other one away")
	case p.whole:
		return whole(in, p.count), nil
	case fromStdin:
		if cmd.Flags().Changed("count") {
			return nil, usagef("--count and lines of stdin exclude each other: each line is sent once")
		}
		return lines(in), nil
	case sized:
		return repeat(filler(p.size), p.count), nil
	case given:
		return repeat([]byte(args[0]), p.count), nil
	default:
		return repeat(nil, p.count), nil
	}
}

func repeat(b []byte, n int) source {
	return func(context.Context) ([]byte, error) {
		if n == 0 {
			return nil, io.EOF
		}
		n--
		return b, nil
	}
}

// whole is all of stdin, n times.
func whole(r io.Reader, n int) source {
	var next source
	return func(ctx context.Context) ([]byte, error) {
		if next == nil {
			b, err := aside(func() ([]byte, error) { return io.ReadAll(r) })(ctx)
			if err != nil && ctx.Err() == nil {
				err = fmt.Errorf("reading stdin: %w", err)
			}
			if err != nil {
				return nil, err
			}
			next = repeat(b, n)
		}
		return next(ctx)
	}
}

// aside makes a source of a function that may block for ever, as reading a
// terminal or a pipe does: whoever waits for it can be interrupted. What blocks
// is then left behind, to end with the process.
func aside(read func() ([]byte, error)) source {
	type result struct {
		b   []byte
		err error
	}
	wanted, results := make(chan struct{}), make(chan result, 1)
	running := false
	return func(ctx context.Context) ([]byte, error) {
		if !running {
			running = true
			go func() {
				for {
					select {
					case <-wanted:
					case <-ctx.Done():
						return
					}
					b, err := read()
					results <- result{b, err}
					if err != nil {
						return
					}
				}
			}()
		}
		select {
		case wanted <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		select {
		case r := <-results:
			return r.b, r.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// maxLine bounds what a line without end can take of our memory: the largest
// payload that any server can be told to accept.
const maxLine = 64 << 20

func lines(r io.Reader) source {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	return aside(func() ([]byte, error) {
		n++
		if s.Scan() {
			return s.Bytes(), nil
		}
		if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
			return nil, fmt.Errorf("line %d of stdin is longer than %d bytes", n, maxLine)
		} else if err != nil {
			return nil, fmt.Errorf("reading stdin: %w", err)
		}
		return nil, io.EOF
	})
}

// filler is a payload that compresses about as badly as text and is readable.
func filler(n int) []byte {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = alphabet[x%uint32(len(alphabet))]
	}
	return b
}

// pacer holds back until the next message is due.
type pacer struct {
	start time.Time
	every time.Duration // 0: no pace
	n     int
}

func newPacer(rate float64) *pacer {
	p := &pacer{start: time.Now()}
	if rate > 0 {
		p.every = time.Duration(float64(time.Second) / rate)
	}
	return p
}

// wait reports false when the context ended first.
func (p *pacer) wait(ctx context.Context) bool {
	if p.every == 0 {
		return ctx.Err() == nil
	}
	due := p.start.Add(time.Duration(p.n) * p.every)
	p.n++
	return pause(ctx, time.Until(due))
}
