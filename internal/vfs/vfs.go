// Package vfs is the small set of disk operations that batchd's durable parts are allowed to use. Everything
// that must survive a crash reaches the disk through FS, so that tests can make any operation fail, cut a write
// short, or lose what was not synced. It knows nothing of what is stored.
package vfs

import (
	"errors"
	"io"
	"io/fs"
)

// ErrRootGone says that the root directory is not there any more, or that another one stands in its place: it was removed,
// renamed, or what was mounted there is not. Nothing can be said then of what was asked for, so no such error is an
// fs.ErrNotExist. The operation works again once the directory is back.
var ErrRootGone = errors.New("the directory is gone, or another one stands in its place")

// FS is a file system below one root directory. Names are relative to the root and of the form fs.ValidPath takes:
// slash-separated, clean, "." for the root itself; any other name, so any that would leave the root, fails with
// fs.ErrInvalid. All methods may be called concurrently. Errors satisfy errors.Is with the sentinels of io/fs.
type FS interface {
	// Create makes a new file open for reading and writing. It fails with fs.ErrExist if the name is taken.
	Create(name string) (File, error)
	// Open opens an existing file for reading only; OpenWrite for reading and writing.
	Open(name string) (File, error)
	OpenWrite(name string) (File, error)
	// Rename gives the file a new name, replacing any file there, atomically. The change is durable only after
	// SyncDir on the directory. If the directories differ, syncing the new one makes the new name durable; until the
	// old one is synced too, a power cut may leave the file with both names.
	Rename(from, to string) error
	// Remove deletes a file or an empty directory. Removing an absent one fails with fs.ErrNotExist, removing a
	// directory that is not empty with fs.ErrExist. Handles that are open stay usable.
	Remove(name string) error
	// MkdirAll makes a directory and its parents; the caller syncs the parents. One that exists is no error.
	MkdirAll(name string) error
	// ReadDir lists a directory in name order.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Stat describes a file or directory.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the directory's entries durable: names made, changed and removed in it. It does nothing for
	// what the names stand for, nor for the directory's own name in its parent.
	SyncDir(name string) error
}

// File is an open file. Writes go to the end of the file's current contents; nothing is durable before Sync
// returns nil. After a failed Sync the unsynced contents must be taken for lost: the kernel may have dropped
// them, and a second Sync that succeeds proves nothing.
type File interface {
	// ReadAt follows io.ReaderAt and may be called concurrently with everything but Close.
	io.ReaderAt
	// Write appends to the end of the file. Like io.Writer, a short count comes with an error; that many bytes
	// were appended.
	io.Writer
	// Sync makes the file's contents and size durable, not its name: SyncDir does that.
	Sync() error
	// Truncate cuts the file to size bytes, or extends it with zeros.
	Truncate(size int64) error
	// Size returns the current length in bytes.
	Size() (int64, error)
	// Close releases the handle without syncing. A second Close fails with fs.ErrClosed.
	Close() error
}
