package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"batchd/internal/datadir"
)

// The checksum of the store file. SQLite keeps none: a bit that changes within a row is a row of another content, and
// neither quick_check nor integrity_check sees that. The file changes only when its log is folded in. Before that the
// checksum beside it is cleared, and afterwards it is taken anew, with the commit number that the file then holds; a start
// compares them. A file of more than fullCheckBytes has none, since it would be read whole each time.

// contents is the store file and its checksum, in the hands of the writer. The turn guards it.
type contents struct {
	path string
	sum  *datadir.ContentSumFile
	// file stays open for as long as SQLite has the store file open: to close any descriptor of a file gives up all
	// locks that the process holds on it, SQLite's too.
	file *os.File
}

// openContents opens both files. The store file must be there.
func openContents(path string) (*contents, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	sum, err := datadir.OpenContentSum(filepath.Dir(path))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &contents{path: path, sum: sum, file: file}, nil
}

const (
	// foldWait is how long a checkpoint waits for another process that folds the log or compares the checksum: longer than
	// either takes. It can be left out.
	foldWait = time.Second
	// upgradeWait is how long an upgrade of the schema waits, which cannot: as long as for a write of another process.
	upgradeWait = 10 * time.Second
)

// errFolding is the error of a change that another process did not let begin.
var errFolding = errors.New("another process is changing the store file")

// change runs fn, which may change the store file, and reports what that reports: whether the file then holds all that was
// committed before. If so, and fn returns no error, the checksum is taken anew. fsyncs is how many syncs it took beside
// those of fn. While another process changes the file for longer than within, fn is not run, and the error is errFolding.
func (c *contents) change(ctx context.Context, within time.Duration, fn func() (folded bool, err error)) (folded bool, fsyncs int, err error) {
	if !c.sum.Lock(within) {
		return false, 0, errFolding
	}
	defer func() { err = errors.Join(err, c.sum.Unlock()) }()
	cleared, err := c.sum.Clear()
	if cleared {
		fsyncs++
	}
	if err != nil {
		return false, fsyncs, err
	}
	if folded, err = fn(); folded && err == nil {
		// Without a checksum, as on a full disk, the file is compared with none until the next time.
		_ = c.take(ctx)
	}
	return folded, fsyncs, err
}

// take writes the checksum of the store file as it is.
func (c *contents) take(ctx context.Context) error {
	info, err := c.file.Stat()
	if err != nil || info.Size() > fullCheckBytes {
		return err
	}
	has, err := readCommits(ctx, c.path, true)
	if err != nil {
		return err
	}
	sum, err := datadir.SumOf(c.file, has.number)
	if err != nil {
		return err
	}
	return c.sum.Write(sum)
}

// close closes both files, after SQLite.
func (c *contents) close() error { return errors.Join(c.sum.Close(), c.file.Close()) }

// openContents makes sure that there is a checksum, where the store file holds everything.
func (s *Store) openContents(ctx context.Context) error {
	c := s.writer.contents
	_, found, err := c.sum.Read()
	if err != nil && !errors.Is(err, datadir.ErrContentSumDamaged) || err == nil && found {
		return err
	}
	if size, err := s.writer.logSize(); size > 0 || err != nil {
		return err // the next checkpoint takes it
	}
	// Another process may have begun to commit. What is in the file is in the file all the same.
	_, _, err = c.change(ctx, foldWait, func() (bool, error) { return true, nil })
	if errors.Is(err, errFolding) {
		return nil // it takes the checksum
	}
	return err
}

// Changed returns what is wrong with the store file at path by its checksum, "" for nothing. It writes to neither; a server
// may be running.
func Changed(ctx context.Context, path string) (string, error) {
	err := checkContents(ctx, path, slog.New(slog.DiscardHandler))
	var refused *UnusableError
	if errors.As(err, &refused) {
		return refused.Problem, nil
	}
	return "", err
}

// checkContents compares the store file with its checksum, before SQLite is let near it, and tells of a checksum that is
// damaged: it is taken anew.
func checkContents(ctx context.Context, path string, log *slog.Logger) (err error) {
	dir := filepath.Dir(path)
	if found, err := datadir.HasContentSum(dir); !found || err != nil {
		return err
	}
	c, err := openContents(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if !c.sum.Lock(foldWait) {
		return nil // it is being changed, by a process that has compared them
	}
	defer func() { err = errors.Join(err, c.sum.Unlock()) }()
	want, found, err := c.sum.Read()
	if !found || err != nil {
		if errors.Is(err, datadir.ErrContentSumDamaged) {
			log.WarnContext(ctx, "checksum of the database is damaged, so that the database was not compared with it; it is taken anew", "path", path, "error", err)
			return nil
		}
		return err
	}
	// What keeps the number from being read is found when the store is opened. Another number is that of an older or a
	// newer file, which the log and the sequence file judge.
	if has, err := readCommits(ctx, path, true); err != nil || has.number != want.Number {
		return nil
	}
	got, err := datadir.SumOf(c.file, want.Number)
	if err != nil {
		return err
	}
	if got == want {
		return nil
	}
	return &UnusableError{
		Path:    path,
		Problem: fmt.Sprintf("is damaged (its contents have not the checksum that was taken when it was last written, %d bytes)", want.Length),
		Remedy: fmt.Sprintf("restore it from a backup; if you have changed it yourself, or want what is left of it, remove %s and start again; it was left as it is",
			filepath.Join(dir, datadir.Checksum)),
	}
}
