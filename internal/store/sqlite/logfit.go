package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
)

// Fit is how a store file and its write-ahead log go together.
type Fit int

// Where the log does not fit the file, the two together are of no use, as pages of the one would stand among those of the
// other. The file without the log is as it was when it had the last log folded in.
const (
	// Fits: the log goes on from this file, or there is none.
	Fits Fit = iota
	// OlderFile: the log goes on from a later file than this one.
	OlderFile
	// OlderLog: the log ends before what this file holds.
	OlderLog
)

// CompareLog reports how the store file at path and its write-ahead log go together. It writes to neither; a server may be
// running.
func CompareLog(ctx context.Context, path string) (Fit, error) {
	has, err := readCommits(ctx, path, false)
	fit := Fits
	if err == nil {
		fit, _, err = compareLog(ctx, path, has)
	}
	if err != nil {
		return Fits, fmt.Errorf("compare %s with its log: %w", path, named(path, err))
	}
	return fit, nil
}

// compareLog is CompareLog for whoever has read what both hold together; base is what the file holds without the log.
func compareLog(ctx context.Context, path string, has commits) (fit Fit, base commits, err error) {
	for try := 1; ; try++ {
		if base, err = readCommits(ctx, path, true); err != nil {
			return Fits, commits{}, err
		}
		switch {
		case base.number < has.folded:
			return OlderFile, base, nil
		case base.number <= has.number:
			return Fits, base, nil
		case try == compareTries:
			return OlderLog, base, nil
		}
		// A server that runs may have committed and folded the log in between the two.
		if has, err = readCommits(ctx, path, false); err != nil {
			return Fits, commits{}, err
		}
	}
}

// compareTries is how often the file and its log are read before what they say is taken for true. A server that folds its log in
// between each time has no time for anything else.
const compareTries = 5

func olderFile(path string, number uint64, has commits) error {
	dir := filepath.Dir(path)
	return &UnusableError{
		Path: path,
		Problem: fmt.Sprintf("is older than its log %s: it ends at change number %d, but the log, which ends at number %d, goes on from number %d or later",
			filepath.Base(path)+"-wal", number, has.number, has.folded),
		Remedy: fmt.Sprintf("restore both from the same copy; batchd check %s says what is lost, batchd repair %s --accept-older goes on without the log; "+
			"it was left as it is", dir, dir),
	}
}

func olderLog(path string, number uint64, has commits) error {
	dir := filepath.Dir(path)
	return &UnusableError{
		Path: path,
		Problem: fmt.Sprintf("has a log %s that is older: the log ends at change number %d, and the file without it at number %d",
			filepath.Base(path)+"-wal", has.number, number),
		Remedy: fmt.Sprintf("restore both from the same copy; batchd check %s says what is lost, batchd repair %s goes on without the log; it was left as it is",
			dir, dir),
	}
}
