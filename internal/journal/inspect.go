package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"batchd/internal/batch"
	"batchd/internal/vfs"
)

// List returns the names of the journals in a directory, in order; none if there is no such directory.
func List(fsys vfs.FS, dir string) ([]string, error) {
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list journals: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), Suffix) {
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	return names, nil
}

// ReadHeader reads the header of a journal and nothing else of it. Its errors are those of Open.
func ReadHeader(fsys vfs.FS, name string) (Header, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return Header{}, fmt.Errorf("read header of journal %s: %w", name, err)
	}
	defer func() { _ = f.Close() }() // only read from
	size, err := f.Size()
	if err != nil {
		return Header{}, fmt.Errorf("read header of journal %s: %w", name, err)
	}
	h, _, _, err := readHeader(f, size)
	if err != nil {
		return Header{}, fmt.Errorf("read header of journal %s: %w", name, err)
	}
	return h, nil
}

// Inspect reads a journal as Open does and opens it for reading only, so that it changes nothing, and may be another
// process's: what is being appended shows as a torn tail. fn is called for each line that has a record, as by
// Journal.Lines; it may be nil.
func Inspect(fsys vfs.FS, name string, fn func(line uint32, kind batch.Kind, u batch.Usage) error) (Replay, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return Replay{}, fmt.Errorf("inspect journal %s: %w", name, err)
	}
	defer func() { _ = f.Close() }() // only read from
	j := &Journal{path: name, file: f}
	replay, err := j.replay()
	if err != nil {
		return Replay{}, fmt.Errorf("inspect journal %s: %w", name, err)
	}
	if fn == nil {
		return replay, nil
	}
	return replay, eachLine(newScanner(f, j.salt, j.start, j.size), name, fn)
}
