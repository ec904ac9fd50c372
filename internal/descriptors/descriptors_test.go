package descriptors_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"batchd/internal/descriptors"
)

func TestAShortageIsToldFromAFault(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		nil:                       false,
		syscall.EMFILE:            true,
		syscall.ENFILE:            true,
		syscall.ENOMEM:            true,
		syscall.ENOBUFS:           true,
		syscall.EIO:               false,
		syscall.ENOSPC:            false,
		fs.ErrNotExist:            false,
		errors.New("a full moon"): false,
	} {
		if got := descriptors.IsShortage(err); got != want {
			t.Errorf("%v: %t, want %t", err, got, want)
		}
	}
	wrapped := fmt.Errorf("create journal: %w", &os.PathError{Op: "open", Path: "x", Err: syscall.EMFILE})
	if !descriptors.IsShortage(wrapped) {
		t.Error("a wrapped one is not told")
	}
}

func TestSharesLeaveRoomForEverybody(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]descriptors.Shares{
		64:        {Units: 64, Clients: 8, Upstreams: 8},
		256:       {Units: 64, Clients: 32, Upstreams: 64},
		1024:      {Units: 256, Clients: 176, Upstreams: 352},
		20_000:    {Units: 2000, Clients: 4484, Upstreams: 8968},
		1 << 20:   {Units: 2000, Clients: 10_000, Upstreams: 523_256},
		1<<31 - 1: {Units: 2000, Clients: 10_000, Upstreams: 1_073_740_791},
	} {
		if got := descriptors.Share(limit); got != want {
			t.Errorf("of %d: %+v, want %+v", limit, got, want)
		}
	}
	for limit := 256; limit < 100_000; limit += 17 {
		s := descriptors.Share(limit)
		if used := 64 + s.Units + 2*s.Clients + s.Upstreams; used > limit {
			t.Fatalf("the shares of %d come to %d", limit, used)
		}
	}
}

func TestTheLimitIsRaised(t *testing.T) {
	t.Parallel()
	limit, err := descriptors.Raise()
	if err != nil || limit < 16 {
		t.Fatalf("got %d, %v", limit, err)
	}
	if again, err := descriptors.Raise(); again != limit || err != nil {
		t.Errorf("got %d, %v, and %d before", again, err, limit)
	}
}
