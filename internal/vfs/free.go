package vfs

import "fmt"

// Free returns how many bytes an unprivileged process may still write to the file system that holds path, and that
// file system's size. Where the operating system does not tell, the error satisfies errors.Is with
// errors.ErrUnsupported, and callers do without the check.
func Free(path string) (free, total uint64, err error) {
	free, total, err = statFree(path)
	if err != nil {
		return 0, 0, fmt.Errorf("read free space of %s: %w", path, err)
	}
	return free, total, nil
}
