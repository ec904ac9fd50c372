package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// errHeld is what the platform's lock call says when another holder is there.
var errHeld = errors.New("lock is held")

// Lock is the right to execute batches from a data directory. The system takes it back when the process ends,
// however it ends.
type Lock struct {
	file *os.File
}

// LockedError says who holds the lock on a data directory, as far as the holder has written it down.
type LockedError struct {
	Dir string
	// PID is the holder's process id; 0 if unknown.
	PID int
	// Host is the name of the holder's machine; "" if unknown.
	Host string
	// Since is when the holder took the lock; zero if unknown.
	Since time.Time
}

// Error says who holds the directory and what to do.
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
	return fmt.Sprintf("data directory %s is in use by %s: stop it or use another --data-dir", e.Dir, who)
}

// TryLock takes the lock on the data directory dir, which must exist, or returns a *LockedError at once. Whoever holds
// it is the only process that leases work from the directory's store, so that leases of all others are void. A directory
// on a network file system may not honour it and must not be used.
func TryLock(dir string) (*Lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := tryLock(f); err != nil {
		if errors.Is(err, errHeld) {
			err = readHolder(f, dir)
		} else {
			err = fmt.Errorf("lock data directory %s: %w", dir, err)
		}
		return nil, errors.Join(err, f.Close())
	}
	if err := writeHolder(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock data directory %s: %w", dir, err), f.Close())
	}
	return &Lock{file: f}, nil
}

// Holder says who holds the lock on the data directory dir; nil is nobody. It writes nothing. For the moment of the look
// another process that tries to take the lock is refused.
func Holder(dir string) (*LockedError, error) {
	f, err := os.Open(filepath.Join(dir, LockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at lock on data directory: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from, and with it the lock goes
	switch err := tryShare(f); {
	case errors.Is(err, errHeld):
		return readHolder(f, dir), nil
	case err != nil:
		return nil, fmt.Errorf("look at lock on data directory %s: %w", dir, err)
	default:
		return nil, unlock(f)
	}
}

const (
	// lockNewTimeout is longer than making a database takes on a slow disk, for which LockNew waits.
	lockNewTimeout = 30 * time.Second
	// lockNewEvery is how often it looks. The system tells nobody that a lock is free.
	lockNewEvery = 20 * time.Millisecond
)

// LockNew takes the lock on a data directory that has no database yet, for whoever makes one: of two processes that make
// one at the same time, one would put its own in the place of the other's. Where there is a database it returns nil. It
// waits for a process that is just making one.
func LockNew(ctx context.Context, dir string) (*Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, lockNewTimeout)
	defer cancel()
	for {
		if found, err := HasDatabase(dir); found || err != nil {
			return nil, err
		}
		lock, err := TryLock(dir)
		var held *LockedError
		switch {
		case err == nil:
			// Another process may have made a database between the look for one and the lock.
			if found, err := HasDatabase(dir); found || err != nil {
				return nil, errors.Join(err, lock.Close())
			}
			return lock, nil
		case !errors.As(err, &held):
			return nil, err
		}
		select {
		case <-time.After(lockNewEvery):
		case <-ctx.Done():
			return nil, held
		}
	}
}

// Close gives the lock back.
func (l *Lock) Close() error { return errors.Join(unlock(l.file), l.file.Close()) }

// lockSoon locks a file that others hold for moments only, and reports whether it did within the given time.
func lockSoon(f *os.File, within time.Duration) bool {
	for deadline := time.Now().Add(within); ; time.Sleep(time.Millisecond) {
		if err := tryLock(f); !errors.Is(err, errHeld) {
			return err == nil
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

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
func readHolder(f *os.File, dir string) *LockedError {
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
