package system

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"

	"github.com/klauspost/compress/s2"

	"github.com/banyanmq/banyan/pkg/wire"
)

// encode compresses an answer as the header of its request asks and returns the
// header that says so; nil without a wish.
func encode(asked, b []byte) (hdr, out []byte) {
	wish, ok := wire.HeaderValue(asked, "Accept-Encoding")
	if !ok {
		return nil, b
	}
	var buf bytes.Buffer
	var w io.WriteCloser
	name := strings.ToLower(string(bytes.TrimSpace(wish)))
	switch name {
	case "snappy", "s2":
		name = "snappy"
		w = s2.NewWriter(&buf, s2.WriterSnappyCompat(), s2.WriterConcurrency(1))
	case "gzip":
		w = gzip.NewWriter(&buf)
	default:
		name = "identity"
	}
	if w != nil {
		// Writes to memory do not fail.
		_, _ = w.Write(b)
		_ = w.Close()
		b = buf.Bytes()
	}
	hdr, _ = wire.AppendSetHeader(nil, nil, "Content-Encoding", []byte(name))
	return hdr, b
}
