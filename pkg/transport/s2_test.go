package transport

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/s2"
	"pgregory.net/rapid"
)

// unpack runs a stream through the decoder in pieces of the given size.
func unpack(stream []byte, piece int) ([]byte, error) {
	var d s2Decoder
	out := getBuf(512)
	var pending []byte
	for len(stream) > 0 {
		n := min(piece, len(stream))
		pending = append(pending, stream[:n]...)
		stream = stream[n:]
		for {
			var used int
			var err error
			had := len(out)
			out, used, err = d.decode(out, pending)
			pending = pending[used:]
			if err != nil {
				return out, err
			}
			if used == 0 && len(out) == had {
				break
			}
		}
	}
	if len(pending) > 0 || d.skip > 0 {
		return out, io.ErrUnexpectedEOF
	}
	return out, nil
}

// TestS2Streams: what the library packs comes out, whatever the pieces it arrives in.
func TestS2Streams(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream bytes.Buffer
		var want []byte
		for range rapid.IntRange(1, 4).Draw(t, "streams") {
			opts := [][]s2.WriterOption{{}, {s2.WriterUncompressed()}, {s2.WriterSnappyCompat()}, {s2.WriterPadding(1 << 12)},
				{s2.WriterAddIndex()}}[rapid.IntRange(0, 4).Draw(t, "kind")]
			w := s2.NewWriter(&stream, append(opts, s2.WriterConcurrency(1))...)
			p := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "bytes"), rapid.IntRange(1, 6000).Draw(t, "times"))
			w.Write(p)
			w.Close()
			want = append(want, p...)
		}
		got, err := unpack(stream.Bytes(), rapid.IntRange(1, 70<<10).Draw(t, "piece"))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v; want %d", len(got), err, len(want))
		}
	})
}

// FuzzS2: what the decoder accepts is what the library makes of it.
func FuzzS2(f *testing.F) {
	var b bytes.Buffer
	w := s2.NewWriter(&b)
	w.Write(bytes.Repeat([]byte("banyan "), 100))
	w.Close()
	f.Add(b.Bytes(), 3)
	f.Add([]byte("\xff\x06\x00\x00S2sTwO\x01\x05\x00\x00aaaab"), 100)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		got, err := unpack(stream, max(1, piece%1000))
		want, lerr := io.ReadAll(s2.NewReader(bytes.NewReader(stream), s2.ReaderMaxBlockSize(s2MaxBlock)))
		if err == nil && (lerr != nil || !bytes.Equal(got, want)) {
			t.Fatalf("accepted; the library says %v", lerr)
		}
		if err != nil && lerr == nil {
			t.Fatalf("refused with %v what the library takes", err)
		}
	})
}
