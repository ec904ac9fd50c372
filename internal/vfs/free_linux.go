package vfs

import "syscall"

// statFree counts in fragments: the unit of the block counts where a file system, such as one in user space, tells
// it apart from the preferred size of a transfer.
func statFree(path string) (free, total uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	unit := uint64(s.Frsize)
	if unit == 0 {
		unit = uint64(s.Bsize)
	}
	return s.Bavail * unit, s.Blocks * unit, nil
}
