package app

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
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/tenant"
)

const (
	// endless is how far away the end of a run's window is: whoever waits for a run decides when it has waited enough.
	endless = 50 * 365 * 24 * time.Hour
	// endlessWindow is what the window is called; nobody sees it.
	endlessWindow = "30d"
	// fallbackEndpoint is assumed when no line says where it goes, so that validation can list what is wrong.
	fallbackEndpoint = "/v1/chat/completions"
	// firstLines is how many lines are looked at for a url.
	firstLines = 100
)

// complete fills in the paths that were not given, and makes all of them absolute.
func (j Job) complete() (Job, error) {
	if j.Input == "-" {
		return j, misuse("a run reads a file, not standard input: it must be able to read it again to resume")
	}
	base := strings.TrimSuffix(j.Input, ".jsonl")
	for _, p := range []struct {
		path *string
		name string
	}{{&j.Input, j.Input}, {&j.Output, base + ".output.jsonl"}, {&j.Errors, base + ".errors.jsonl"}, {&j.State, base + ".batchd"}} {
		if *p.path == "" {
			*p.path = p.name
		}
		abs, err := filepath.Abs(*p.path)
		if err != nil {
			return j, fmt.Errorf("resolve path %s: %w", *p.path, err)
		}
		*p.path = abs
	}
	if j.Output == j.Errors || j.Output == j.Input || j.Errors == j.Input || j.State == j.Input {
		return j, misuse("input, output, errors and state must be four different paths")
	}
	return j, nil
}

// identity is what makes two runs the same: their lines, and where these go.
type identity struct {
	SHA256   string `json:"input_sha256"`
	Bytes    int64  `json:"input_bytes"`
	Endpoint string `json:"endpoint"`
}

// identify reads the whole input once.
func identify(ctx context.Context, job Job) (identity, error) {
	f, err := os.Open(job.Input)
	if errors.Is(err, fs.ErrNotExist) {
		return identity{}, misuse("%s: no such file", job.Input)
	}
	if err != nil {
		return identity{}, fmt.Errorf("open input: %w", err)
	}
	defer func() { _ = f.Close() }() // it is only read
	info, err := f.Stat()
	if err != nil {
		return identity{}, fmt.Errorf("open input: %w", err)
	}
	if !info.Mode().IsRegular() {
		return identity{}, misuse("%s is not a regular file", job.Input)
	}
	id := identity{Endpoint: job.Endpoint}
	if id.Endpoint == "" {
		id.Endpoint = FirstURL(f)
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return id, fmt.Errorf("read input: %w", err)
		}
	}
	sum := newSummer(ctx, f)
	if _, err := io.Copy(io.Discard, sum); err != nil {
		return id, fmt.Errorf("read input: %w", err)
	}
	id.SHA256, id.Bytes = sum.sum(), sum.bytes
	return id, nil
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

// summer hashes and counts what is read through it, and stops when its context ends.
type summer struct {
	ctx   context.Context
	r     io.Reader
	hash  hash.Hash
	bytes int64
	lines int64
}

func newSummer(ctx context.Context, r io.Reader) *summer {
	return &summer{ctx: ctx, r: r, hash: sha256.New()}
}

// Read implements io.Reader.
func (s *summer) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, ErrInterrupted
	}
	n, err := s.r.Read(p)
	s.hash.Write(p[:n])
	s.bytes += int64(n)
	s.lines += int64(bytes.Count(p[:n], []byte{'\n'}))
	return n, err
}

func (s *summer) sum() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// batchOf returns the run's batch, making it if an earlier process did not get so far. One that validation refused is
// followed by another: what is known of models may have changed since.
func (e *Engine) batchOf(ctx context.Context, r *run) (batch.Batch, error) {
	b, err := e.storage.store.BatchByID(ctx, r.record.Batch)
	if err == nil && b.Status == batch.Failed {
		if err := r.renewBatch(); err != nil {
			return batch.Batch{}, err
		}
		err = store.ErrNotFound
	}
	if !errors.Is(err, store.ErrNotFound) {
		return b, err
	}
	if err := e.importInput(ctx, r); err != nil {
		return batch.Batch{}, err
	}
	who, err := tenant.Open{Tenant: e.tenant}.Authenticate(nil)
	if err != nil {
		return batch.Batch{}, err
	}
	now := time.Now()
	b = batch.Batch{
		ID: r.record.Batch, Tenant: who.Tenant, KeyID: who.KeyID, Dialect: e.cfg.Dialect.Default,
		Endpoint: r.record.Endpoint, InputFileID: r.record.File, Window: endlessWindow,
		Status: batch.Validating, Stop: batch.StopNone, CreatedAt: now, ExpiresAt: now.Add(endless),
	}
	if err := e.storage.store.CreateBatch(ctx, b); err != nil {
		return batch.Batch{}, fmt.Errorf("create batch: %w", err)
	}
	return b, nil
}

// importInput copies the input into the run's folder, unless that is done. From then on the original may change.
func (e *Engine) importInput(ctx context.Context, r *run) error {
	_, err := e.storage.store.File(ctx, e.tenant, r.record.File, time.Now())
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	f, err := os.Open(r.job.Input)
	if err != nil {
		return fmt.Errorf("open input: %w", err)
	}
	defer func() { _ = f.Close() }() // it is only read
	sum := newSummer(ctx, f)
	stored, err := e.storage.blobs.Put(ctx, "files/"+r.record.File, sum)
	if err != nil {
		return fmt.Errorf("copy input: %w", err)
	}
	if sum.sum() != r.record.SHA256 {
		return fmt.Errorf("copy input: %s changed while it was read", r.job.Input)
	}
	file := batch.File{
		ID: r.record.File, Tenant: e.tenant, Dialect: e.cfg.Dialect.Default, Name: filepath.Base(r.job.Input),
		Purpose: batch.PurposeBatch, Bytes: stored.Size, Lines: sum.lines, CreatedAt: time.Now(),
	}
	if stored.Size > 0 {
		file.Content = batch.Manifest{}.Append(stored, 0, stored.Size)
	}
	if err := e.storage.store.CreateFile(ctx, file); err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	return nil
}
