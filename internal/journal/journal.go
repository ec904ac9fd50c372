// Package journal keeps the outcomes of one leased unit on this node's disk, append-only and checksummed, until the
// unit is sealed; and it owns the format of the segment that sealing makes. A record that Append took survives
// kill -9; one that Sync covered survives power loss. Replay never invents a record and never hides one whose
// checksum holds. It knows nothing of leases beyond their ids, of SQL, or of where segments go.
package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"batchd/internal/batch"
	"batchd/internal/vfs"
)

// Errors that callers branch on.
var (
	// ErrForeign means that a file is no journal of this format, or that its header cannot be trusted.
	ErrForeign = errors.New("not a journal of this format")
	// ErrMissing means that a segment was asked for while lines have no record and no filler.
	ErrMissing = errors.New("lines have no outcome")
	// ErrDiskFailed means that neither the journal nor a fresh copy of it could be synced: the process must stop.
	ErrDiskFailed = errors.New("journal cannot be made durable")
	// ErrIndex means that a segment's index is absent or damaged.
	ErrIndex = errors.New("segment index cannot be trusted")
)

// Header says whose outcomes a journal holds.
type Header struct {
	Unit  batch.UnitID
	Lease batch.LeaseID
}

// Record is the outcome of one line.
type Record struct {
	// Line is the line's number in the input file, counting from 1.
	Line uint32
	Kind batch.Kind
	// Usage is what the upstream reported for the call.
	Usage batch.Usage
	// Text is the final result line without its line break.
	Text batch.Body
}

// Journal is the open journal of one unit. All methods may be called concurrently.
//
// A line may be recorded twice; the first record whose checksum holds wins, and Lines and Build ignore the others.
type Journal struct {
	fsys vfs.FS
	path string
	// salt begins the checksum of every frame's head; start is where the first frame begins.
	salt  uint32
	start int64
	// inMemory is the largest journal, in bytes, whose segment is laid out in memory.
	inMemory int64

	// syncing is held, before mu, by what replaces or closes the file or waits for the disk, so that appends go
	// on during an fsync.
	syncing sync.Mutex

	// mu guards the fields below. Bytes of the file before size never change.
	mu   sync.Mutex
	file vfs.File // nil while released
	// size is where the last whole frame ends; what the file holds after it is garbage.
	size int64
	// synced is the part of size that is known to be durable.
	synced int64
	// named says that the file's name is known to be durable as well.
	named bool
	// frames counts the whole frames of any type, which a copy must hold too.
	frames int
	// ragged says that the file may be longer than size and must be cut before the next append.
	ragged bool
	// older holds frames that a running fsync is to cover, fresh those appended since it began.
	older, fresh unsynced
	// rescues counts the moves to a fresh file, and rescued is the reason for the last.
	rescues int
	rescued error
	// suspect says that an fsync of the file has failed, maybe in an earlier process: what can be read from it
	// may not be on the disk, and no fsync of it proves anything.
	suspect bool
	// marked says that a mark beside the file tells the next process of a failed fsync.
	marked bool
	// err is why the journal can no longer be used: ErrDiskFailed, or fs.ErrClosed.
	err error
}

// Create makes the journal of a freshly leased unit. When it returns, the file and its whole header survive a kill.
// Power loss they survive from the first Sync on, which is before any record counts: a unit that is sealed within
// a second never pays for the durability of its journal. It fails with fs.ErrExist if the name is taken; after any
// other error nothing of that name is left, as far as the disk obeys.
func Create(fsys vfs.FS, path string, h Header) (*Journal, error) {
	head, err := encodeHeader(h)
	if err != nil {
		return nil, fmt.Errorf("create journal %s: %w", path, err)
	}
	if _, err := fsys.Stat(path); err == nil {
		return nil, fmt.Errorf("create journal %s: %w", path, fs.ErrExist)
	}
	f, err := vfs.Place(fsys, path+TempSuffix, path, func(f vfs.File) error {
		_, err := f.Write(head)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create journal %s: %w", path, err)
	}
	size := int64(len(head))
	return &Journal{
		fsys: fsys, path: path, salt: checksum(0, head), start: size, inMemory: inMemoryLimit,
		file: f, size: size, synced: size,
	}, nil
}

// Replay is what Open found in a journal.
type Replay struct {
	// Header is the header that the journal was created with.
	Header Header
	// Leases are the header's lease and then each adopted one, in order: the unit's row may name any of them.
	Leases []batch.LeaseID
	// Frames counts the outcome frames that were kept, second records of a line included.
	Frames int
	// Damage lists, in file order, what had to be passed over.
	Damage []Damage
}

// Damaged reports whether bytes were lost elsewhere than in a torn tail, which is what a crash leaves. Such a
// file deserves a copy for its operator (Preserve) and a loud message: a disk or a program changed it.
func (r Replay) Damaged() bool {
	for _, d := range r.Damage {
		if !d.Torn {
			return true
		}
	}
	return false
}

// Open reads a journal after a restart. Every frame whose checksum holds is kept, also after a bad one. It changes
// nothing: a torn tail is cut by the first append. The journal is dirty until the next Sync, because frames that
// survived a killed process may still be in the page cache only.
//
// It fails with ErrForeign if the header cannot be trusted, with fs.ErrNotExist if there is no such file, and
// with the disk's own error if the file cannot be read.
func Open(fsys vfs.FS, path string) (*Journal, Replay, error) {
	_ = fsys.Remove(path + TempSuffix) // an unfinished copy, which no acknowledged frame depends on
	f, err := fsys.OpenWrite(path)
	if err != nil {
		return nil, Replay{}, fmt.Errorf("open journal %s: %w", path, err)
	}
	j := &Journal{fsys: fsys, path: path, inMemory: inMemoryLimit, file: f}
	_, err = fsys.Stat(path + SuspectSuffix)
	j.suspect = err == nil
	j.marked = j.suspect
	replay, err := j.replay()
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, Replay{}, fmt.Errorf("open journal %s: %w", path, err)
	}
	return j, replay, nil
}

// replay scans the whole file and sets the fields that describe its contents.
func (j *Journal) replay() (Replay, error) {
	length, err := j.file.Size()
	if err != nil {
		return Replay{}, err
	}
	header, salt, start, err := readHeader(j.file, length)
	if err != nil {
		return Replay{}, err
	}
	r := Replay{Header: header, Leases: []batch.LeaseID{header.Lease}}
	s := newScanner(j.file, salt, start, length)
	for {
		f, ok, err := s.next()
		if err != nil {
			return Replay{}, err
		}
		if !ok {
			break
		}
		j.frames++
		if f.typ == typeAdoption {
			r.Leases = append(r.Leases, f.lease)
		} else {
			r.Frames++
		}
	}
	r.Damage = s.damage
	j.salt, j.start = salt, start
	j.size, j.ragged = s.whole, s.whole < length
	return r, nil
}

// Lines calls fn once for each line that has a record, in the order of recording, with the record that wins. It
// reads the file through a descriptor of its own. An error of fn ends the scan and is returned as it is.
func (j *Journal) Lines(fn func(line uint32, kind batch.Kind, u batch.Usage) error) error {
	f, size, err := j.reader()
	if err != nil {
		return fmt.Errorf("scan journal %s: %w", j.path, err)
	}
	defer func() { _ = f.Close() }() // only read from
	return eachLine(newScanner(f, j.salt, j.start, size), j.path, fn)
}

// eachLine does what Lines says with the frames that s finds.
func eachLine(s *scanner, path string, fn func(line uint32, kind batch.Kind, u batch.Usage) error) error {
	seen := make(map[uint32]struct{})
	for {
		fr, ok, err := s.next()
		if err != nil {
			return fmt.Errorf("scan journal %s: %w", path, err)
		}
		if !ok {
			return nil
		}
		if _, again := seen[fr.line]; again || fr.typ != typeOutcome {
			continue
		}
		seen[fr.line] = struct{}{}
		if err := fn(fr.line, fr.kind, fr.usage); err != nil {
			return err
		}
	}
}

// reader opens the file for reading and returns how much of it is whole frames.
func (j *Journal) reader() (vfs.File, int64, error) {
	j.mu.Lock()
	size, err := j.size, j.err
	j.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	f, err := j.fsys.Open(j.path)
	return f, size, err
}

// Path returns the name of the journal's file.
func (j *Journal) Path() string { return j.path }

// Dirty reports whether there are frames that no Sync has covered.
func (j *Journal) Dirty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size > j.synced
}

// Rescues returns how often a failed fsync made Sync move the journal to a fresh file, and why it did so last. An operator
// should hear of it: the disk is failing.
func (j *Journal) Rescues() (n int, cause error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.rescues, j.rescued
}

// Release closes the descriptor and frees the buffers; the next append opens the file again. It does nothing
// while the journal is dirty, because an fsync error that the kernel has yet to report could go with the
// descriptor.
func (j *Journal) Release() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil || j.file == nil || j.size > j.synced {
		return nil
	}
	return j.closeFileLocked()
}

// Close closes the journal and leaves its file. It does not sync: what no Sync covered may be lost with the
// power. Closing twice does nothing.
func (j *Journal) Close() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if errors.Is(j.err, fs.ErrClosed) {
		return nil
	}
	j.err = fmt.Errorf("journal %s: %w", j.path, fs.ErrClosed)
	return j.closeFileLocked()
}

// Remove closes the journal and unlinks its file, which may be gone already. The directory is not synced: a journal
// that comes back names leases that no row names, and is garbage.
func (j *Journal) Remove() error {
	_ = j.Close() // its contents no longer matter
	if err := j.fsys.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove journal %s: %w", j.path, err)
	}
	if j.marked {
		_ = j.fsys.Remove(j.path + SuspectSuffix) // says nothing without its journal
	}
	return nil
}

func (j *Journal) closeFileLocked() error {
	f := j.file
	j.file, j.older, j.fresh = nil, unsynced{}, unsynced{}
	if f == nil {
		return nil
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close journal %s: %w", j.path, err)
	}
	return nil
}

// fileLocked returns the file, opened again if it was released.
func (j *Journal) fileLocked() (vfs.File, error) {
	if j.err != nil {
		return nil, j.err
	}
	if j.file != nil {
		return j.file, nil
	}
	f, err := j.fsys.OpenWrite(j.path)
	if err != nil {
		return nil, err
	}
	length, err := f.Size()
	if err == nil && length < j.size {
		err = fmt.Errorf("the file has shrunk from %d to %d bytes", j.size, length)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	j.file, j.ragged = f, j.ragged || length > j.size
	return f, nil
}
