package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/vfs"
)

// hashOf returns the SHA-256 of what is left to read.
func hashOf(r io.Reader) (string, error) {
	sum := newSummer(context.Background(), r)
	_, err := io.Copy(io.Discard, sum)
	return sum.sum(), err
}

// publish copies the results of a batch to where the job wants them, and returns the path of the error file, "" if no
// line went there. The output file is there in any case; an error file of an earlier run that this one has no use for
// goes.
func (e *Engine) publish(ctx context.Context, r *run, b batch.Batch) (string, error) {
	if err := e.publishFile(ctx, r, b.OutputFileID, r.job.Output); err != nil {
		return "", err
	}
	if b.ErrorFileID != "" {
		return r.job.Errors, e.publishFile(ctx, r, b.ErrorFileID, r.job.Errors)
	}
	stale, err := r.owned(r.job.Errors)
	if err == nil && stale {
		err = os.Remove(r.job.Errors)
	}
	return "", err
}

// publishFile copies a result file to path, whole or not at all. The record knows the content first: a crash in
// between leaves a file that the next run takes for its own.
func (e *Engine) publishFile(ctx context.Context, r *run, fileID, path string) (err error) {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+r.record.Batch+".tmp")
	defer func() {
		if err != nil {
			_ = os.Remove(temporary) // it is of no use to anybody
		}
	}()
	sum, err := e.copyOut(ctx, fileID, temporary)
	if err != nil {
		return err
	}
	if name := r.nameOf(path); !slices.Contains(r.record.Results[name], sum) {
		r.record.Results[name] = append(r.record.Results[name], sum)
		if err := r.store(); err != nil {
			return err
		}
	}
	// Somebody may have put a file there while the batch ran.
	if _, err := r.owned(path); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	folder, err := vfs.NewOS(filepath.Dir(path), vfs.OSOptions{})
	if err != nil {
		return err
	}
	if err := folder.SyncDir("."); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// copyOut writes a file's content to a new file at path, synced, and returns its SHA-256. No id stands for no content.
func (e *Engine) copyOut(ctx context.Context, fileID, path string) (sum string, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("write results: %w", err)
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return "", fmt.Errorf("write results: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	content := newSummer(ctx, eof{})
	if fileID != "" {
		reader, err := e.openFile(ctx, fileID)
		if err != nil {
			return "", err
		}
		defer reader.Close()
		content.r = reader
	}
	if _, err := io.Copy(out, content); err != nil {
		return "", fmt.Errorf("write results: %w", err)
	}
	if err := out.Sync(); err != nil {
		return "", fmt.Errorf("write results: %w", err)
	}
	return content.sum(), nil
}

// openFile opens a file of the store for reading from its beginning.
func (e *Engine) openFile(ctx context.Context, id string) (io.ReadCloser, error) {
	f, err := e.storage.store.File(ctx, e.tenant, id, time.Now())
	if err != nil {
		return nil, fmt.Errorf("find result file: %w", err)
	}
	content, err := blob.Content(ctx, e.storage.blobs, f)
	if err != nil {
		return nil, err
	}
	return blob.NewReader(ctx, e.storage.blobs, content, 0, f.Bytes), nil
}

// eof is a reader of nothing.
type eof struct{}

// Read returns io.EOF.
func (eof) Read([]byte) (int, error) { return 0, io.EOF }
