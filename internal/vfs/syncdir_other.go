//go:build !windows

package vfs

import (
	"errors"
	"os"
)

// syncDir makes the entries of the directory at path durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
