//go:build !windows

package vfs

import (
	"errors"
	"os"
)

// syncFolder makes the entries of the folder at path durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
