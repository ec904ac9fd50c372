package oneshot

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"batchd/internal/batch"
	"batchd/internal/vfs"
)

// publish copies the results of a batch to where the job wants them, and returns the path of the error file, "" if no
// line went there. The output file is there in any case; an error file of an earlier run that this one has no use for
// goes.
func (r *run) publish(ctx context.Context, b batch.Batch) (string, error) {
	if err := r.publishFile(ctx, b.OutputFileID, r.job.Output); err != nil {
		return "", err
	}
	if b.ErrorFileID != "" {
		return r.job.Errors, r.publishFile(ctx, b.ErrorFileID, r.job.Errors)
	}
	stale, err := r.owned(r.job.Errors)
	if err == nil && stale {
		err = os.Remove(r.job.Errors)
	}
	return "", err
}

// publishFile copies a result file to path, whole or not at all. The record knows the content first: a crash in
// between leaves a file that the next run takes for its own.
func (r *run) publishFile(ctx context.Context, fileID, path string) error {
	dir, err := vfs.NewOS(filepath.Dir(path), vfs.OSOptions{FileMode: 0o666})
	if err != nil {
		return err
	}
	name := filepath.Base(path)
	f, err := vfs.Replace(dir, "."+name+"."+r.record.Batch+temporarySuffix, name, func(f vfs.File) error {
		content := newDigest(ctx, strings.NewReader(""))
		if fileID != "" { // a batch none of whose lines went there has no such file
			reader, err := r.engine.Open(ctx, fileID)
			if err != nil {
				return err
			}
			defer reader.Close()
			content.r = reader
		}
		if _, err := io.Copy(f, content); err != nil {
			return err
		}
		sum := content.sum()
		if known := r.nameOf(path); !slices.Contains(r.record.Results[known], sum) {
			r.record.Results[known] = append(r.record.Results[known], sum)
			if err := r.store(); err != nil {
				return err
			}
		}
		// A user may have put a file there while the batch ran.
		_, err = r.owned(path)
		return err
	})
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return f.Close()
}
