package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// lockName is the file in the data folder that carries the lock. It is never removed: a process that locked a file
// which another one had just removed would hold nothing.
const lockName = "lock"

// errHeld is what the platform's lock call says when another holder is there.
var errHeld = errors.New("lock is held")

// DirLock is the right to execute batches from a data folder. The system takes it back when the process ends,
// however it ends.
type DirLock struct {
	file *os.File
}

// LockedError says who holds the lock on a data folder, as far as the holder has written it down.
type LockedError struct {
	Dir string
	// PID is the holder's process id; 0 if unknown.
	PID int
	// Host is the name of the holder's machine; "" if unknown.
	Host string
	// Since is when the holder took the lock; zero if unknown.
	Since time.Time
}

// Error says who holds the folder and what to do.
func (e *LockedError) Error() string {
	who := "another batchd"
	if e.PID != 0 {
		who = fmt.Sprintf("batchd (pid %d", e.PID)
		if here, err := os.Hostname(); e.Host != "" && (err != nil || e.Host != here) {
			who += " on " + e.Host
		}
		if !e.Since.IsZero() {
			who += ", started " + e.Since.Format(time.RFC3339)
		}
		who += ")"
	}
	return fmt.Sprintf("data folder %s is in use by %s: stop it or use another --data-dir", e.Dir, who)
}

// LockDir takes the lock on the data folder dir, which must exist, or returns a *LockedError at once. Whoever holds
// it is the only process that leases work from the folder's store, so that leases of all others are void. A folder
// on a network file system may not honour it and must not be used.
func LockDir(dir string) (*DirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := tryLock(f); err != nil {
		if errors.Is(err, errHeld) {
			err = readHolder(f, dir)
		} else {
			err = fmt.Errorf("lock data folder %s: %w", dir, err)
		}
		return nil, errors.Join(err, f.Close())
	}
	if err := writeHolder(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock data folder %s: %w", dir, err), f.Close())
	}
	return &DirLock{file: f}, nil
}

// Close gives the lock back.
func (l *DirLock) Close() error { return l.file.Close() }

// writeHolder notes who we are, for the message of those who come too late.
func writeHolder(f *os.File) error {
	host, err := os.Hostname()
	if err != nil {
		host = "" // the note is a courtesy
	}
	note := fmt.Sprintf("pid %d\nhost %s\nstarted %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(note), 0)
	return err
}

// readHolder returns what the lock's holder wrote down. It may have written nothing yet.
func readHolder(f *os.File, dir string) error {
	held := &LockedError{Dir: dir}
	note := make([]byte, 1024)
	n, _ := f.ReadAt(note, 0) // what cannot be read is left out of the message
	for line := range strings.Lines(string(note[:n])) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch key {
		case "pid":
			held.PID, _ = strconv.Atoi(value)
		case "host":
			held.Host = value
		case "started":
			held.Since, _ = time.Parse(time.RFC3339, value)
		}
	}
	return held
}
