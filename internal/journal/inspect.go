package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
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

// Names reports whether a journal names the lease, in its header or as one that it was adopted under. It goes from frame to
// frame without reading results, as long as nothing is wrong with the journal. Its errors are those of Open.
func Names(fsys vfs.FS, name string, lease batch.LeaseID) (bool, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return false, fmt.Errorf("read leases of journal %s: %w", name, err)
	}
	defer func() { _ = f.Close() }() // only read from
	found, whole, err := hop(f, lease)
	if err != nil {
		return false, fmt.Errorf("read leases of journal %s: %w", name, err)
	}
	if found || whole {
		return found, nil
	}
	replay, err := Inspect(fsys, name, nil) // which finds the frames behind what is damaged
	return slices.Contains(replay.Leases, lease), err
}

// hop looks for a lease in the frames of a journal. It reads heads, and the bodies of adoptions alone; whole says that it
// came to the end of the file like that.
func hop(f vfs.File, lease batch.LeaseID) (found, whole bool, err error) {
	size, err := f.Size()
	if err != nil {
		return false, false, err
	}
	h, salt, pos, err := readHeader(f, size)
	if err != nil || h.Lease == lease {
		return err == nil, false, err
	}
	var b [headSize + len(lease)]byte
	for pos+headSize <= size {
		if err := readFull(f, b[:headSize], pos); err != nil {
			return false, false, err
		}
		head, ok := parseHead(b[:], salt)
		next := pos + headSize + int64(head.bodyLen)
		if !ok || next > size {
			return false, false, nil
		}
		if head.typ == typeAdoption {
			body := b[headSize:]
			if err := readFull(f, body, pos+headSize); err != nil {
				return false, false, err
			}
			if checksum(0, body) != head.bodySum {
				return false, false, nil
			}
			if batch.LeaseID(body) == lease {
				return true, false, nil
			}
		}
		pos = next
	}
	return false, pos == size, nil
}
