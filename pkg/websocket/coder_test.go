package websocket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// The other implementation is the second opinion: it talks to the codec in both
// roles, and judges the same broken streams.

// relay runs a codec between a socket and functions, with the loop that a connection has.
func relay(nc net.Conn, c *Codec, first []byte, got func([]byte) []byte) error {
	buf := bytes.Clone(first)
	room := make([]byte, 4096)
	for {
		for {
			out, n, reply, err := c.Decode(nil, buf)
			buf = buf[n:]
			var back []byte
			if len(out) > 0 {
				back = got(out)
			}
			if len(back) > 0 || reply {
				b, _ := c.Encode(nil, back)
				nc.Write(b)
			}
			if err != nil {
				nc.Write(c.Farewell(nil, err))
				return err
			}
			if n == 0 && len(out) == 0 {
				break
			}
		}
		n, err := nc.Read(room)
		buf = append(buf, room[:n]...)
		if err != nil {
			return err
		}
	}
}

// readHead reads to the end of an HTTP head.
func readHead(t testing.TB, nc net.Conn) (head, rest []byte) {
	t.Helper()
	var b []byte
	room := make([]byte, 1024)
	for {
		n, err := nc.Read(room)
		b = append(b, room[:n]...)
		if n := HeadLen(b); n > 0 {
			return b[:n], b[n:]
		}
		if err != nil {
			t.Errorf("no head: %v", err)
			return nil, nil
		}
	}
}

// echo listens for one connection and sends back what comes.
func echo(t *testing.T, r Rules) (addr string, ended chan error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() {
		defer ln.Close()
		nc, err := ln.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer nc.Close()
		b, rest := readHead(t, nc)
		q, err := ParseRequest(b)
		if err != nil {
			ended <- err
			return
		}
		a, err := r.Check(q)
		if err != nil {
			ended <- err
			return
		}
		nc.Write(AppendAccept(nil, a, ""))
		c := NewCodec(Options{Compress: a.Compress, Unmasked: a.Unmasked})
		c.SetMaxPayload(1 << 20)
		ended <- relay(nc, c, rest, func(p []byte) []byte { return p })
	}()
	return ln.Addr().String(), ended
}

func TestCoderDials(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, mode := range []websocket.CompressionMode{websocket.CompressionDisabled, websocket.CompressionNoContextTakeover} {
		addr, ended := echo(t, Rules{Compress: true})
		c, _, err := websocket.Dial(ctx, "ws://"+addr, &websocket.DialOptions{CompressionMode: mode, CompressionThreshold: 1})
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadLimit(-1)
		for _, n := range []int{1, 64, 65, 1000, 65536, 200_000} {
			sent := append(bytes.Repeat([]byte("0123456789abc"), n/13), noise(n%13)...)
			if err := c.Write(ctx, websocket.MessageBinary, sent); err != nil {
				t.Fatal(err)
			}
			var got []byte
			for len(got) < len(sent) {
				kind, p, err := c.Read(ctx)
				if err != nil || kind != websocket.MessageBinary {
					t.Fatalf("%v, %d bytes: %v, %v", mode, n, kind, err)
				}
				got = append(got, p...)
			}
			if !bytes.Equal(got, sent) {
				t.Fatalf("%v: %d bytes came back otherwise", mode, n)
			}
		}
		// A ping is answered while something reads.
		go c.Read(ctx)
		if err := c.Ping(ctx); err != nil {
			t.Errorf("%v: ping: %v", mode, err)
		}
		if err := c.Close(3001, "bye"); err != nil {
			t.Errorf("%v: close: %v", mode, err)
		}
		var gone *Closed
		if err := <-ended; !errors.As(err, &gone) || gone.Code != 3001 || gone.Text != "bye" {
			t.Errorf("%v: ended with %v", mode, err)
		}
	}
}

func TestCoderListens(t *testing.T) {
	for _, compress := range []bool{false, true} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionNoContextTakeover, CompressionThreshold: 1})
			if err != nil {
				t.Error(err)
				return
			}
			c.SetReadLimit(-1)
			for {
				kind, p, err := c.Read(r.Context())
				if err != nil {
					return
				}
				if c.Write(r.Context(), kind, p) != nil {
					return
				}
			}
		}))
		nc, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		o := Offer{Host: "h", Path: "/", Compress: compress}
		nc.Write(AppendRequest(nil, &o))
		b, rest := readHead(t, nc)
		a, err := CheckResponse(b, &o)
		if err != nil || a.Compress != compress {
			t.Fatalf("%+v, %v", a, err)
		}
		c := NewCodec(Options{Client: true, Compress: a.Compress})
		c.SetMaxPayload(1 << 20)
		sent := append(bytes.Repeat([]byte("0123456789abc"), 20_000), noise(1000)...)
		out, _ := c.Encode(nil, sent)
		go nc.Write(out)
		var got []byte
		stop := errors.New("all is there")
		err = relay(nc, c, rest, func(p []byte) []byte {
			if got = append(got, p...); len(got) >= len(sent) {
				c.err = stop
			}
			return nil
		})
		if err != stop || !bytes.Equal(got, sent) {
			t.Errorf("compressed %v: %d of %d bytes, %v", compress, len(got), len(sent), err)
		}
		nc.Close()
		srv.Close()
	}
}

// FuzzAgainstCoder: both take the same bytes for data, and both end or go on.
func FuzzAgainstCoder(f *testing.F) {
	z := string(deflated(f, bytes.Repeat([]byte("PUB a 1\r\nx\r\n"), 20)))
	for _, b := range [][]byte{
		masked(0x82, "PING\r\n"), append(masked(0x89, "hi"), masked(0x82, "x")...), masked(0x88, "\x03\xe8bye"), masked(0xc2, z),
		append(masked(0x42, z[:5]), masked(0x80, z[5:])...), append(masked(0x02, "a"), masked(0x80, "b")...), masked(0xc1, z),
		append(masked(0x02, "a"), masked(0x82, "b")...), masked(0x92, "a"), masked(0x83, "a"), masked(0x09, ""),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewCodec(Options{Compress: true})
		ours, _, err := decodeAll(t, c, b, 0)
		var gone *Closed
		bad := err != nil && !errors.As(err, &gone)
		more := b
		if bad { // we judge the first two bytes of a header, they a whole one
			more = append(b[:len(b):len(b)], make([]byte, maxHeader)...)
		}
		theirs, ended := coderReads(t, more)
		// Of a message that is cut off they make what they can.
		if whole := !bad && c.left == 0 && !c.open; whole && ended == nil && !bytes.Equal(ours, theirs) {
			t.Fatalf("ours %q, theirs %q", ours, theirs)
		}
		if bad && ended == nil {
			t.Fatalf("refused by us alone: %v", err)
		}
	})
}

// coderReads has the other implementation read b as the server; nil: it had no objection.
func coderReads(t *testing.T, b []byte) (got []byte, objection error) {
	near, far := tcpPair(t)
	defer near.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		srv := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionNoContextTakeover})
			if err != nil {
				done <- err
				return
			}
			defer c.CloseNow()
			c.SetReadLimit(-1)
			for {
				_, rd, err := c.Reader(ctx)
				if err == nil {
					var p []byte
					if p, err = io.ReadAll(rd); err == nil {
						got = append(got, p...)
					}
				}
				if err != nil {
					done <- err
					return
				}
			}
		})}
		srv.Serve(&oneConn{nc: far})
	}()
	o := Offer{Host: "h", Path: "/", Compress: true}
	near.SetDeadline(time.Now().Add(5 * time.Second))
	near.Write(AppendRequest(nil, &o))
	readHead(t, near)
	go io.Copy(io.Discard, near)
	near.Write(b)
	near.(*net.TCPConn).CloseWrite()
	err := <-done
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) {
		return got, nil
	}
	return got, err
}

func tcpPair(t *testing.T) (near, far net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// oneConn is a listener with one connection.
type oneConn struct {
	nc   net.Conn
	done bool
}

func (l *oneConn) Accept() (net.Conn, error) {
	if l.done {
		return nil, io.EOF
	}
	l.done = true
	return l.nc, nil
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
