package datadir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The form of the file of the database's checksum: eight bytes that name it, then in little endian the commit number and
// the length of the database's file, of eight bytes each, and the CRC-32C of its contents, and the CRC-32C of all that. It
// is empty at first, and all zeros while the database's file is being changed.
const (
	contentSumMagic  = "batchdc1"
	contentSumLength = 32
)

// ErrContentSumDamaged says that the file of the database's checksum is not what any process of ours has written.
var ErrContentSumDamaged = errors.New("is damaged")

// ContentSum is what the file of the database held when its log was last folded into it.
type ContentSum struct {
	// Number is the commit number in the file, Length its bytes, Sum the CRC-32C of its contents.
	Number, Length uint64
	Sum            uint32
}

// SumOf returns the length and checksum of the contents of a database's file; the number is the caller's.
func SumOf(database io.ReaderAt, number uint64) (ContentSum, error) {
	hash := crc32.New(castagnoli)
	n, err := io.Copy(hash, io.NewSectionReader(database, 0, 1<<62))
	return ContentSum{Number: number, Length: uint64(n), Sum: hash.Sum32()}, err
}

// ContentSumFile is the open file of the database's checksum. Its methods must not be called concurrently; other processes
// may have the file open as well.
type ContentSumFile struct {
	file *os.File
}

// OpenContentSum opens the file of the database's checksum in the data directory at path, and makes it, empty, if it is
// absent. A power cut may take a new one away.
func OpenContentSum(path string) (*ContentSumFile, error) {
	f, err := os.OpenFile(filepath.Join(path, Checksum), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open checksum of the database: %w", err)
	}
	return &ContentSumFile{file: f}, nil
}

// Lock takes the right to change the database's file and this one, among the processes that have it open, and reports
// whether it did within the given time: whoever has it reads or writes a whole database.
func (c *ContentSumFile) Lock(within time.Duration) bool { return lockSoon(c.file, within) }

// Unlock gives the right back.
func (c *ContentSumFile) Unlock() error { return unlock(c.file) }

// Read returns what the file holds, and whether it holds anything.
func (c *ContentSumFile) Read() (sum ContentSum, found bool, err error) {
	record := make([]byte, contentSumLength+1) // one more, to see that nothing follows
	n, err := c.file.ReadAt(record, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ContentSum{}, false, fmt.Errorf("read checksum of the database: %w", err)
	}
	if n == 0 || bytes.Equal(record[:n], make([]byte, contentSumLength)) {
		return ContentSum{}, false, nil
	}
	sum = ContentSum{
		Number: binary.LittleEndian.Uint64(record[8:]), Length: binary.LittleEndian.Uint64(record[16:]),
		Sum: binary.LittleEndian.Uint32(record[24:]),
	}
	if !bytes.Equal(record[:n], sum.encode()) {
		return ContentSum{}, true, fmt.Errorf("%s %w", c.file.Name(), ErrContentSumDamaged)
	}
	return sum, true, nil
}

// Clear takes the checksum out of the file, durably, before the database's file is changed. It reports whether there was one.
// It gives no room back, which Write could not get again on a full disk.
func (c *ContentSumFile) Clear() (bool, error) {
	if _, found, err := c.Read(); err == nil && !found {
		return false, nil
	}
	_, err := c.file.WriteAt(make([]byte, contentSumLength), 0)
	if err == nil {
		err = c.file.Truncate(contentSumLength)
	}
	if err == nil {
		err = c.file.Sync()
	}
	if err != nil {
		return false, fmt.Errorf("clear checksum of the database: %w", err)
	}
	return true, nil
}

// Write puts what the database's file holds now into the cleared file. It does not sync: after a power cut there may be
// nothing.
func (c *ContentSumFile) Write(sum ContentSum) error {
	if _, err := c.file.WriteAt(sum.encode(), 0); err != nil {
		return fmt.Errorf("write checksum of the database: %w", err)
	}
	return nil
}

// Close closes the file.
func (c *ContentSumFile) Close() error { return c.file.Close() }

func (s ContentSum) encode() []byte {
	record := make([]byte, 0, contentSumLength)
	record = append(record, contentSumMagic...)
	record = binary.LittleEndian.AppendUint64(record, s.Number)
	record = binary.LittleEndian.AppendUint64(record, s.Length)
	record = binary.LittleEndian.AppendUint32(record, s.Sum)
	return binary.LittleEndian.AppendUint32(record, crc32.Checksum(record, castagnoli))
}

// HasContentSum reports whether there is a file of the database's checksum in the data directory at path.
func HasContentSum(path string) (bool, error) {
	_, err := os.Stat(filepath.Join(path, Checksum))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
