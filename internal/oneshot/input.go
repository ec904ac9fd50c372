package oneshot

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"batchd/internal/batch"
)

const (
	// fallbackEndpoint is assumed when no line says where it goes, so that validation can list what is wrong.
	fallbackEndpoint = "/v1/chat/completions"
	// firstLines is how many lines are looked at for a url.
	firstLines = 100
)

// identity is what makes two runs the same: their lines, and where these go.
type identity struct {
	SHA256   string `json:"input_sha256"`
	Bytes    int64  `json:"input_bytes"`
	Endpoint string `json:"endpoint"`
}

// identify reads the whole input once, and counts its lines.
func identify(ctx context.Context, job Job) (_ identity, lines int64, _ error) {
	f, err := os.Open(job.Input)
	if errors.Is(err, fs.ErrNotExist) {
		return identity{}, 0, invalid("%s: no such file", job.Input)
	}
	if err != nil {
		return identity{}, 0, fmt.Errorf("open input: %w", err)
	}
	defer func() { _ = f.Close() }() // it is only read
	info, err := f.Stat()
	if err != nil {
		return identity{}, 0, fmt.Errorf("open input: %w", err)
	}
	if !info.Mode().IsRegular() {
		return identity{}, 0, invalid("%s is not a regular file", job.Input)
	}
	id := identity{Endpoint: job.Endpoint}
	if id.Endpoint == "" {
		id.Endpoint = FirstURL(f)
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return id, 0, fmt.Errorf("read input: %w", err)
		}
	}
	sum := newDigest(ctx, f)
	if _, err := io.Copy(io.Discard, sum); err != nil {
		return id, 0, fmt.Errorf("read input: %w", err)
	}
	id.SHA256, id.Bytes = sum.sum(), sum.bytes
	return id, sum.lines, nil
}

// FirstURL returns the url of the first line of a batch file that names one. If none of the first lines does, it
// returns the endpoint of chat completions, against which validation can say what is wrong with each.
func FirstURL(file io.Reader) string {
	r := bufio.NewReaderSize(io.LimitReader(file, 16*batch.MiB), 64<<10)
	for range firstLines {
		raw, err := r.ReadBytes('\n')
		var line struct {
			URL string `json:"url"`
		}
		if json.Unmarshal(raw, &line) == nil && line.URL != "" {
			return line.URL
		}
		if err != nil {
			break // the end; a fault of the disk shows when the rest is read
		}
	}
	return fallbackEndpoint
}

// digest hashes what is read through it, counts its bytes and lines, and stops when its context ends.
type digest struct {
	ctx   context.Context
	r     io.Reader
	hash  hash.Hash
	bytes int64
	lines int64
}

func newDigest(ctx context.Context, r io.Reader) *digest {
	return &digest{ctx: ctx, r: r, hash: sha256.New()}
}

// Read implements io.Reader.
func (d *digest) Read(p []byte) (int, error) {
	if d.ctx.Err() != nil {
		return 0, ErrInterrupted
	}
	n, err := d.r.Read(p)
	d.hash.Write(p[:n])
	d.bytes += int64(n)
	d.lines += int64(bytes.Count(p[:n], []byte{'\n'}))
	return n, err
}

func (d *digest) sum() string { return hex.EncodeToString(d.hash.Sum(nil)) }

// submission is what the run asks of the engine. From when the input is copied on, the original may change.
func (r *run) submission(ctx context.Context) Submission {
	return Submission{
		File: r.record.File, Batch: r.record.Batch, Name: filepath.Base(r.job.Input), Endpoint: r.record.Endpoint,
		Lines: r.lines,
		Input: func() (io.ReadCloser, error) {
			f, err := os.Open(r.job.Input)
			if err != nil {
				return nil, fmt.Errorf("open input: %w", err)
			}
			return &unchanged{digest: newDigest(ctx, f), Closer: f, want: r.record.SHA256, path: r.job.Input}, nil
		},
	}
}

// unchanged is a reader of what must still have the SHA-256 that it had; it fails in place of ending if it has not.
type unchanged struct {
	*digest
	io.Closer
	want, path string
}

// Read implements io.Reader.
func (u *unchanged) Read(p []byte) (int, error) {
	n, err := u.digest.Read(p)
	if errors.Is(err, io.EOF) && u.sum() != u.want {
		err = fmt.Errorf("%s changed while it was read", u.path)
	}
	return n, err
}
