package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"batchd/internal/datadir"
)

func TestNothingChangesTheStoreFileWhileAnotherProcessDoes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "batchd.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := openContents(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.close() }()
	other, err := datadir.OpenContentSum(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if !other.Lock(0) {
		t.Fatal("a lock that nobody holds was not taken")
	}
	ran := false
	change := func() (bool, error) { ran = true; return false, nil }
	if _, _, err := c.change(t.Context(), 5*time.Millisecond, change); !errors.Is(err, errFolding) || ran {
		t.Errorf("locked: got %v, and it ran: %v", err, ran)
	}
	if err := other.Unlock(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.change(t.Context(), 5*time.Millisecond, change); err != nil || !ran {
		t.Errorf("free: got %v, and it ran: %v", err, ran)
	}
}
