package journal

import (
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/vfs"
)

// ReadHeader reads the header of a journal and nothing else of it. Its errors are those of Open.
func ReadHeader(fsys vfs.FS, path string) (Header, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return Header{}, fmt.Errorf("read header of journal %s: %w", path, err)
	}
	defer func() { _ = f.Close() }() // only read from
	size, err := f.Size()
	if err != nil {
		return Header{}, fmt.Errorf("read header of journal %s: %w", path, err)
	}
	h, _, _, err := readHeader(f, size)
	if err != nil {
		return Header{}, fmt.Errorf("read header of journal %s: %w", path, err)
	}
	return h, nil
}

// Inspect reads a journal as Open does and opens it for reading only, so that it changes nothing, and may be another
// process's: what is being appended shows as a torn tail. fn is called for each line that has a record, as by
// Journal.Lines; it may be nil.
func Inspect(fsys vfs.FS, path string, fn func(line uint32, kind batch.Kind, u batch.Usage) error) (Replay, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return Replay{}, fmt.Errorf("inspect journal %s: %w", path, err)
	}
	defer func() { _ = f.Close() }() // only read from
	j := &Journal{path: path, file: f}
	replay, err := j.replay()
	if err != nil {
		return Replay{}, fmt.Errorf("inspect journal %s: %w", path, err)
	}
	if fn == nil {
		return replay, nil
	}
	return replay, eachLine(newScanner(f, j.salt, j.start, j.size), path, fn)
}
