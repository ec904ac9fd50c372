package datadir_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"batchd/internal/datadir"
)

func TestTheChecksumOfTheDatabaseIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := datadir.OpenContentSum(dir)
	must(t, err)
	defer func() { must(t, c.Close()) }()
	if _, found, err := c.Read(); found || err != nil {
		t.Errorf("a new one holds something: %v, %v", found, err)
	}
	want, err := datadir.SumOf(bytes.NewReader([]byte("123456789")), 7)
	must(t, err)
	if want != (datadir.ContentSum{Number: 7, Length: 9, Sum: 0xe3069283}) { // the check value of CRC-32C
		t.Errorf("got %+v", want)
	}
	must(t, c.Write(want))
	if got, found, err := c.Read(); got != want || !found || err != nil {
		t.Errorf("got %+v, %v, %v", got, found, err)
	}
	path := filepath.Join(dir, datadir.Checksum)
	whole, err := os.ReadFile(path)
	must(t, err)
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 1
		must(t, os.WriteFile(path, flipped, 0o600))
		if _, _, err := c.Read(); !errors.Is(err, datadir.ErrContentSumDamaged) {
			t.Errorf("byte %d: got %v", i, err)
		}
	}
	for _, wantCleared := range []bool{true, false} {
		if cleared, err := c.Clear(); cleared != wantCleared || err != nil {
			t.Errorf("cleared: got %v, %v, want %v", cleared, err, wantCleared)
		}
	}
	if _, found, err := c.Read(); found || err != nil {
		t.Errorf("cleared, it holds something: %v, %v", found, err)
	}
}
