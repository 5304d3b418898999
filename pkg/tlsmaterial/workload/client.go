package workload

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	method = "/SpiffeWorkloadAPI/FetchX509SVID"
	// maxMessage is the longest answer that is read.
	maxMessage = 4 << 20

	minBackoff = time.Second
	maxBackoff = 30 * time.Second
)

// Client asks one agent. Its methods may be called from several goroutines.
type Client struct {
	address string
	http    *http.Client
}

// New makes a Client for an endpoint as SPIFFE_ENDPOINT_SOCKET names it:
// unix:///path or tcp://address:port. Nothing is connected yet.
func New(endpoint string) (*Client, error) {
	network, address, err := parse(endpoint)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		Protocols: new(http.Protocols),
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	return &Client{address: endpoint, http: &http.Client{Transport: t}}, nil
}

func parse(endpoint string) (network, address string, err error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
	case u.Scheme == "unix" && (u.Host != "" || u.RawQuery != "" || u.Fragment != ""):
	case u.Scheme == "unix" && strings.HasPrefix(u.Path, "/"):
		return "unix", u.Path, nil
	case u.Scheme == "tcp" && u.Path == "" && u.RawQuery == "":
		if host, port, err := net.SplitHostPort(u.Host); err == nil && port != "" && net.ParseIP(host) != nil {
			return "tcp", u.Host, nil
		}
	}
	return "", "", fmt.Errorf("SPIFFE endpoint %q: want unix:///path/of/socket or tcp://address:port", endpoint)
}

// Watch calls update with what the agent says, and again whenever it changes, until
// ctx ends. A stream that breaks is opened again, after a second at first and up to
// half a minute later; failed is told why. Both are called from the goroutine of
// Watch.
func (c *Client) Watch(ctx context.Context, update func(*Update), failed func(error)) {
	defer c.http.CloseIdleConnections()
	pause := minBackoff
	for {
		err := c.stream(ctx, func(u *Update) bool {
			pause = minBackoff
			update(u)
			return true
		})
		if ctx.Err() != nil {
			return
		}
		failed(err)
		t := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		pause = min(2*pause, maxBackoff)
	}
}

// Fetch returns the agent's first answer.
func (c *Client) Fetch(ctx context.Context) (*Update, error) {
	defer c.http.CloseIdleConnections()
	var got *Update
	err := c.stream(ctx, func(u *Update) bool {
		got = u
		return false
	})
	if got != nil {
		return got, nil
	}
	return nil, err
}

// stream reads answers until the stream ends, or until each wants no more. It
// always returns an error; a stream that the agent ends is one too.
func (c *Client) stream(ctx context.Context, each func(*Update) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The request is an empty message: not compressed, of length 0.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+method, bytes.NewReader(make([]byte, 5)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	req.Header.Set("Workload.spiffe.io", "true") // so that nobody is tricked into asking
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL is none that the reader knows
		}
		return fmt.Errorf("SPIFFE Workload API at %s: %w", c.address, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("SPIFFE Workload API at %s: HTTP status %s", c.address, resp.Status)
	}
	for {
		msg, err := readMessage(resp.Body)
		if errors.Is(err, io.EOF) {
			err = status(resp)
		}
		if err != nil {
			return fmt.Errorf("SPIFFE Workload API at %s: %w", c.address, err)
		}
		u, err := decode(msg)
		if err != nil {
			return fmt.Errorf("SPIFFE Workload API at %s: %w", c.address, err)
		}
		if !each(u) {
			return nil
		}
	}
}

// readMessage reads one message with its prefix of five bytes. io.EOF is the end
// between two messages.
func readMessage(r io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	switch {
	case head[0] != 0:
		return nil, errors.New("the answer is compressed, which was not asked for")
	case n > maxMessage:
		return nil, fmt.Errorf("an answer of %d bytes is longer than %d", n, maxMessage)
	}
	msg := make([]byte, n)
	if _, err := io.ReadFull(r, msg); err != nil {
		return nil, fmt.Errorf("an answer is cut off: %w", noEOF(err))
	}
	return msg, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// permissionDenied is the gRPC status with which agents say that no identity is
// registered for the caller.
const permissionDenied = "7"

// status is how the agent ended the stream. Without any message it may stand in the
// headers.
func status(resp *http.Response) error {
	code, text := resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
	if code == "" {
		code, text = resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")
	}
	if t, err := url.PathUnescape(text); err == nil {
		text = t
	}
	switch code {
	case permissionDenied:
		return fmt.Errorf("no identity issued: %s; register this process with the SPIFFE server", text)
	case "", "0":
		return errors.New("the agent ended the stream")
	}
	return fmt.Errorf("gRPC status %s: %s", code, text)
}
