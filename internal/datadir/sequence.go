package datadir

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"batchd/internal/vfs"
)

// The form of the sequence file: eight bytes that name it, the number in little endian, four bytes of zero, and the
// CRC-32C of all that.
const (
	sequenceMagic  = "batchdq1"
	sequenceLength = 24
	// sequenceTemp is what the name of one that is being made begins with; the lock's holder removes those that were left.
	sequenceTemp = Sequence + ".new-"
)

// ErrSequenceDamaged says that the sequence file is not what any process of ours has written.
var ErrSequenceDamaged = errors.New("is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ReadSequence returns the number in the sequence file of the data directory at path, and whether there is such a file.
// The error of one that is damaged wraps ErrSequenceDamaged. A server may be running.
func ReadSequence(path string) (number uint64, found bool, err error) {
	name := filepath.Join(path, Sequence)
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read sequence file: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	number, err = readSequence(f)
	if err != nil {
		return 0, true, fmt.Errorf("read sequence file %s: %w", name, err)
	}
	return number, true, nil
}

// readSequence reads the number in an open sequence file.
func readSequence(f io.ReaderAt) (uint64, error) {
	record := make([]byte, sequenceLength+1) // one more, to see that nothing follows
	n, err := f.ReadAt(record, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	number := binary.LittleEndian.Uint64(record[8:])
	if !bytes.Equal(record[:n], encodeSequence(number)) {
		return 0, ErrSequenceDamaged
	}
	return number, nil
}

func encodeSequence(number uint64) []byte {
	record := make([]byte, 0, sequenceLength)
	record = append(record, sequenceMagic...)
	record = binary.LittleEndian.AppendUint64(record, number)
	record = append(record, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(record, crc32.Checksum(record, castagnoli))
}

// WriteSequence puts a sequence file with this number in the place of whatever is there, durably. It is for a directory
// on which no process works, and the only way to lower the number.
func WriteSequence(path string, number uint64) error {
	disk, err := vfs.NewOS(path, vfs.OSOptions{})
	if err == nil {
		err = placeSequence(disk, number)
	}
	if err != nil {
		return fmt.Errorf("write sequence file: %w", err)
	}
	return nil
}

// placeSequence makes the sequence file whole before its name shows it, so that one that is cut short is always damaged.
// Its first name is a new one each time: several processes may find at once that there is no sequence file.
func placeSequence(disk vfs.FS, number uint64) error {
	f, err := vfs.Replace(disk, sequenceTemp+rand.Text(), Sequence, func(f vfs.File) error {
		_, err := f.Write(encodeSequence(number))
		return err
	})
	if err != nil {
		return err
	}
	return f.Close()
}

// SequenceFile is the open sequence file of a data directory. Its methods must not be called concurrently; other
// processes may have the file open as well.
type SequenceFile struct {
	file *os.File
}

// OpenSequence opens the sequence file of the data directory at path for what commits next, and raises it to number. One
// that is missing is made. One that is damaged is copied to Lost and written anew; kept is where the copy is, below path.
func OpenSequence(path string, number uint64, o Options) (s *SequenceFile, kept string, err error) {
	s, kept, err = openSequence(path, number, o)
	if err != nil {
		return nil, "", fmt.Errorf("open sequence file: %w", err)
	}
	return s, kept, nil
}

func openSequence(path string, number uint64, o Options) (*SequenceFile, string, error) {
	disk, err := vfs.NewOS(path, vfs.OSOptions{OnSync: o.OnSync})
	if err != nil {
		return nil, "", err
	}
	_, found, err := ReadSequence(path)
	kept := ""
	switch {
	case errors.Is(err, ErrSequenceDamaged):
		if kept, err = keepSequence(disk); err != nil {
			return nil, "", err
		}
	case err != nil:
		return nil, "", err
	case !found:
		if err := placeSequence(disk, number); err != nil {
			return nil, "", err
		}
	}
	f, err := os.OpenFile(filepath.Join(path, Sequence), os.O_RDWR, 0)
	if err != nil {
		return nil, "", err
	}
	s := &SequenceFile{file: f}
	if kept != "" {
		// In its place, and not by a new file of its name: another process may have it open. Raise finds it
		// empty and writes; what only had something behind it would pass once that is cut off.
		err = f.Truncate(0)
	}
	if err == nil {
		err = s.Raise(number)
	}
	if err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	return s, kept, nil
}

// Raise writes the number into the file, unless that holds a higher one already. It does not sync: a power cut may leave
// a lower number, never one that was not written. A file that has become damaged is written over, since what it should
// hold is at hand.
func (s *SequenceFile) Raise(number uint64) error {
	// Without the lock, a process that committed earlier could write its number over that of one that committed later.
	locked := lockSoon(s.file, sequenceLockWait)
	err := s.raise(number)
	if locked {
		err = errors.Join(err, unlock(s.file))
	}
	if err != nil {
		return fmt.Errorf("write sequence file: %w", err)
	}
	return nil
}

func (s *SequenceFile) raise(number uint64) error {
	now, err := readSequence(s.file)
	if err == nil && now >= number {
		return nil
	}
	if err != nil && !errors.Is(err, ErrSequenceDamaged) {
		return err
	}
	_, err = s.file.WriteAt(encodeSequence(number), 0)
	return err
}

// sequenceLockWait is how long the lock on the file is waited for. It is held for two system calls, so that whoever does not
// give it back has been stopped: then the number is written without it, which may put back the number of a commit that is
// this moment's only.
const sequenceLockWait = 50 * time.Millisecond

// Close closes the file.
func (s *SequenceFile) Close() error { return s.file.Close() }

// keepSequence copies the sequence file to Lost, under a name that is free there, durably.
func keepSequence(disk *vfs.OS) (string, error) {
	content, err := os.ReadFile(filepath.Join(disk.Root(), Sequence))
	if err != nil {
		return "", err
	}
	name, err := lostName(disk, Sequence)
	if err != nil {
		return "", err
	}
	f, err := vfs.Replace(disk, name+".new", name, func(f vfs.File) error {
		_, err := f.Write(content)
		return err
	})
	if err != nil {
		return "", err
	}
	return name, f.Close()
}
