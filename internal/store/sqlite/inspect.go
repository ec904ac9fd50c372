package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

const (
	// applicationID marks our files in the SQLite header: "btch".
	applicationID = 0x62746368
	// headerSize is the length of SQLite's file header; the application id stands at its offset 68.
	headerSize          = 100
	applicationIDOffset = 68
	// fullCheckBytes is the size up to which every page is checked at each start: 2 to 3 ms per MiB. More than that
	// would make the start slow; a larger file has its header, its length and its schema checked, and a damaged page is
	// still noticed by SQLite when it is read.
	fullCheckBytes = 64 << 20
)

// magic begins every SQLite file.
var magic = []byte("SQLite format 3\x00")

// What the operator can do: about a store that was ours, and about a file that never was.
const (
	restoreRemedy = "restore it from a backup, or start with another data directory; it was left as it is"
	foreignRemedy = "move it away, or start with another data directory; it was left as it is"
)

// UnusableError says why a store file was refused. Its text is for the operator: the file, what is wrong, what to do.
type UnusableError struct {
	// Path is the store file.
	Path string
	// Problem completes the sentence "store file x …".
	Problem string
	// Remedy is what the operator can do about it.
	Remedy string
}

// Error returns one sentence naming the file, the problem and the remedy.
func (e *UnusableError) Error() string {
	return fmt.Sprintf("store file %s %s: %s", e.Path, e.Problem, e.Remedy)
}

// damaged turns what SQLite says about a broken file into an UnusableError and leaves other errors alone.
func damaged(path string, err error) error {
	var known *UnusableError
	if err == nil || errors.As(err, &known) {
		return err
	}
	var fault *driver.Error
	if errors.Is(err, sql.ErrNoRows) || errors.As(err, &fault) && brokenFile(fault.Code()) {
		return &UnusableError{Path: path, Problem: fmt.Sprintf("is damaged (%v)", err), Remedy: restoreRemedy}
	}
	return err
}

// brokenFile reports whether an SQLite result code is about the file's contents rather than its surroundings.
// SQLITE_ERROR is among them because our statements are constants: what makes one fail is a schema that is not ours.
// The low byte is the primary code; extended codes say more in the bits above.
func brokenFile(code int) bool {
	switch code & 0xff {
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB, codes.SQLITE_ERROR:
		return true
	default:
		return code == codes.SQLITE_IOERR_SHORT_READ
	}
}

// inspect looks at the file without letting SQLite near it, because SQLite would replay journals into a file that
// may not be ours. It reports whether there is a file, and refuses one that cannot be a store, or the lack of one where
// none may be made.
func inspect(path string, mayCreate bool) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
			return false, &UnusableError{Path: path, Problem: "is missing, though its write-ahead log is there", Remedy: restoreRemedy}
		}
		if !mayCreate {
			// A new store would know nothing of the blobs and journals that are there, and the sweeper would collect
			// them.
			return false, &UnusableError{
				Path:    path,
				Problem: "is missing, but blobs/ or journals/ is not empty, or batchd.seq is there",
				Remedy:  "restore it from a backup, or start with an empty data directory",
			}
		}
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if info.IsDir() {
		return false, &UnusableError{Path: path, Problem: "is a directory", Remedy: foreignRemedy}
	}
	head, err := readHeader(path)
	if err != nil {
		return false, err
	}
	switch {
	case len(head) == 0:
		return false, &UnusableError{Path: path, Problem: "is empty", Remedy: restoreRemedy}
	case !bytes.HasPrefix(head, magic):
		return false, &UnusableError{Path: path, Problem: "is not an SQLite database, so it is damaged or not ours", Remedy: restoreRemedy}
	case len(head) < headerSize:
		return false, &UnusableError{Path: path, Problem: fmt.Sprintf("is damaged (only %d bytes are left)", len(head)), Remedy: restoreRemedy}
	case binary.BigEndian.Uint32(head[applicationIDOffset:]) != applicationID:
		return false, &UnusableError{Path: path, Problem: "is a database of another program", Remedy: foreignRemedy}
	}
	return true, nil
}

// readHeader returns the first headerSize bytes, or all there are: a file that is too short is for the caller to judge.
func readHeader(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	head := make([]byte, headerSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return head[:n], nil
}

// checkFile refuses a file that SQLite can open and that is not sound or not ours, and returns its schema's version. The
// version comes before the pages: a newer schema is refused for what it is, not for what this program takes for damage.
func checkFile(ctx context.Context, w *writer) (int64, error) {
	version, err := checkVersion(ctx, w.conn, w.path)
	if err != nil {
		return 0, err
	}
	return version, damaged(w.path, checkPages(ctx, w))
}

// checkVersion returns the schema's version and refuses one that this program does not know.
func checkVersion(ctx context.Context, conn *sql.Conn, path string) (int64, error) {
	version, err := pragma(ctx, conn, "user_version")
	if err != nil {
		return 0, damaged(path, err)
	}
	if version > schemaVersion {
		return 0, &UnusableError{
			Path:    path,
			Problem: fmt.Sprintf("was written by a newer version of batchd (schema %d, this one knows %d)", version, schemaVersion),
			Remedy:  "run that version, or a later one; it was left as it is",
		}
	}
	// The form that the schema had before the first release has its number but no tenants.
	var tables int
	err = conn.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'tenants'`).Scan(&tables)
	if err == nil && tables == 0 {
		err = &UnusableError{
			Path:    path,
			Problem: "was written before batchd 0.1.0, in a form that no released version reads",
			Remedy:  "start with another data directory; it was left as it is",
		}
	}
	return version, damaged(path, err)
}

// checkPages looks for damage: always that no page is missing at the end, and in a small file inside every page too.
func checkPages(ctx context.Context, w *writer) error {
	pages, err := pragma(ctx, w.conn, "page_count")
	if err != nil {
		return err
	}
	pageSize, err := pragma(ctx, w.conn, "page_size")
	if err != nil {
		return err
	}
	want := pages * pageSize
	// The pages are counted first: those that another process adds meanwhile may be in the log only.
	folded, err := w.checkpoint(ctx)
	if err != nil && w.outOfSpace(err) {
		folded, err = false, nil // a full disk is no damage: the log stays until there is room to fold it in
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(w.path)
	if err != nil {
		return err
	}
	if folded && info.Size() < want {
		return &UnusableError{
			Path:    w.path,
			Problem: fmt.Sprintf("is damaged (%d bytes are left of %d)", info.Size(), want),
			Remedy:  restoreRemedy,
		}
	}
	if want > fullCheckBytes {
		return nil
	}
	// quick_check looks at the structure of every page. Unlike integrity_check it does not compare indexes with their
	// tables, which would take several times as long.
	var result string
	if err := w.conn.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&result); err != nil {
		return damaged(w.path, err)
	}
	if result != "ok" {
		return &UnusableError{Path: w.path, Problem: fmt.Sprintf("is damaged (%s)", result), Remedy: restoreRemedy}
	}
	return nil
}

// pragma returns the value of a numeric pragma. The name is a constant of this package, never input.
func pragma(ctx context.Context, conn *sql.Conn, name string) (int64, error) {
	var n int64
	err := conn.QueryRowContext(ctx, "PRAGMA "+name).Scan(&n)
	return n, err
}
