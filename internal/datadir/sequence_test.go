package datadir_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"batchd/internal/datadir"
)

func TestTheSequenceFileHoldsTheHighestNumber(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check := func(want uint64, wantFound bool) {
		t.Helper()
		if got, found, err := datadir.ReadSequence(dir); got != want || found != wantFound || err != nil {
			t.Errorf("got %d, %v, %v, want %d, %v", got, found, err, want, wantFound)
		}
	}
	check(0, false)
	s := openSequence(t, dir, 7)
	check(7, true)
	must(t, s.Raise(9))
	must(t, s.Raise(8))
	check(9, true)
	must(t, s.Close())
	s = openSequence(t, dir, 5)
	check(9, true)
	must(t, s.Close())
	s = openSequence(t, dir, 12)
	defer func() { must(t, s.Close()) }()
	check(12, true)
	must(t, datadir.WriteSequence(dir, 3))
	check(3, true)
}

func TestTheNumberOfTheLastCommitStaysWhoeverWritesItFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var writers sync.WaitGroup
	for i := range 4 {
		s := openSequence(t, dir, 0)
		writers.Go(func() {
			defer func() { _ = s.Close() }()
			for n := range 500 {
				if err := s.Raise(uint64(n*4 + i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if got, _, err := datadir.ReadSequence(dir); got != 1999 || err != nil {
		t.Errorf("got %d, %v, want the highest, 1999", got, err)
	}
}

func TestADamagedSequenceFileIsKeptAndMadeAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, datadir.Sequence)
	must(t, openSequence(t, dir, 0x0102030405060708).Close())
	whole, err := os.ReadFile(path)
	must(t, err)
	var broken [][]byte
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x10
		broken = append(broken, flipped, whole[:i])
	}
	broken = append(broken, append(bytes.Clone(whole), 0), bytes.Repeat([]byte{0}, 24), bytes.Repeat([]byte("x"), 5000))
	kept := make(map[string]bool)
	for i, content := range broken {
		must(t, os.WriteFile(path, content, 0o600))
		if _, found, err := datadir.ReadSequence(dir); !found || !errors.Is(err, datadir.ErrSequenceDamaged) {
			t.Fatalf("damage %d: found %v, %v", i, found, err)
		}
		s, name, err := datadir.OpenSequence(dir, 5, datadir.Options{})
		must(t, err)
		must(t, s.Close())
		copied, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		if !bytes.Equal(copied, content) || kept[name] {
			t.Fatalf("damage %d is not kept in %s", i, name)
		}
		kept[name] = true
		if got, found, err := datadir.ReadSequence(dir); got != 5 || !found || err != nil {
			t.Fatalf("damage %d: made anew as %d, %v, %v", i, got, found, err)
		}
	}
}

func TestASequenceFileThatIsDamagedWhileItIsOpenIsWrittenAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSequence(t, dir, 1)
	defer func() { must(t, s.Close()) }()
	must(t, os.WriteFile(filepath.Join(dir, datadir.Sequence), []byte("short"), 0o600))
	must(t, s.Raise(2))
	if got, _, err := datadir.ReadSequence(dir); got != 2 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestADirectoryInThePlaceOfTheSequenceFileIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, datadir.Sequence)
	must(t, os.Mkdir(path, 0o700))
	if _, _, err := datadir.ReadSequence(dir); err == nil || !bytes.Contains([]byte(err.Error()), []byte(path)) {
		t.Errorf("read: got %v", err)
	}
	if _, _, err := datadir.OpenSequence(dir, 1, datadir.Options{}); err == nil || !bytes.Contains([]byte(err.Error()), []byte(path)) {
		t.Errorf("open: got %v", err)
	}
}

func openSequence(t *testing.T, dir string, number uint64) *datadir.SequenceFile {
	t.Helper()
	s, kept, err := datadir.OpenSequence(dir, number, datadir.Options{})
	must(t, err)
	if kept != "" {
		t.Errorf("a sound file was set aside as %s", kept)
	}
	return s
}
