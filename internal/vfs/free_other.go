//go:build !linux && !darwin

package vfs

import "errors"

func statFree(string) (free, total uint64, err error) { return 0, 0, errors.ErrUnsupported }
