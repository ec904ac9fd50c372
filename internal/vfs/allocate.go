package vfs

import (
	"errors"
	"math/rand/v2"
	"os"
)

// allocatePiece is how many bytes are written at a time where the file system gives no room without that.
const allocatePiece = 64 << 10

// Allocate makes the file at path, which is made if it is absent, size bytes long, with room on the disk for all of it. What
// is in it has no meaning, and nothing of it is synced. After an error, such as that of a full disk, the file may be longer
// than it was and have room for that.
func Allocate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < size {
		err = allocate(f, info.Size(), size)
	}
	return errors.Join(err, f.Close())
}

// fillUp writes a file from one length to another. It writes noise, since some file systems give zeros no room.
func fillUp(f *os.File, from, to int64) error {
	noise := rand.NewChaCha8([32]byte{})
	piece := make([]byte, allocatePiece)
	for from < to {
		_, _ = noise.Read(piece) // never fails
		n, err := f.WriteAt(piece[:min(allocatePiece, to-from)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}
