package oneshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"batchd/internal/batch"
	"batchd/internal/datadir"
	"batchd/internal/dialect/openai"
	"batchd/internal/vfs"
)

const (
	// recordName is the file in a run's directory that says which run it is.
	recordName = "run.json"
	// temporarySuffix ends the name of that file while it is being written.
	temporarySuffix = ".tmp"
	// recordVersion is the form of that file. A file of another version is refused, and not rewritten.
	recordVersion = 1
)

// record is what a run must remember beside its batch. It is durable before anything is sent, and each change of it before
// what the change allows: a process that dies anywhere finds a record that claims no less than what is on the disk.
type record struct {
	Version int `json:"version"`
	identity
	// File and Batch are the ids of the run's objects, decided before these are made.
	File  string `json:"file"`
	Batch string `json:"batch"`
	// Results lists, for each path as seen from the directory, the SHA-256 of every content that its runs gave
	// it: only such a file may be replaced.
	Results map[string][]string `json:"results"`
	// Clearing is set while what an earlier run left is removed.
	Clearing bool `json:"clearing,omitempty"`
	// Done is set once the result files are in place, and goes with a record that begins anew.
	Done *doneRecord `json:"done,omitempty"`
}

// doneRecord is how a finished run ended.
type doneRecord struct {
	Status       string `json:"status"`
	Total        int64  `json:"total"`
	Completed    int64  `json:"completed"`
	Failed       int64  `json:"failed"`
	OutputTokens int64  `json:"output_tokens"`
}

// run is a job with its record.
type run struct {
	job    Job
	record record
	// lines is how many lines the input has.
	lines int64
	// engine and observe are set once there is something to do.
	engine  Engine
	observe func(Progress)
}

// openRun finds the record of the job's directory, or makes a new one in memory, and refuses a job that another run has
// begun or whose result files no run of its directory made. It changes nothing on the disk.
func openRun(job Job, id identity) (*run, error) {
	r := &run{job: job}
	found, err := r.load()
	switch {
	case err != nil:
		return nil, err
	case !found:
		r.record = newRecord(id, nil)
	case job.Restart:
		r.record = newRecord(id, r.record.Results)
		r.record.Clearing = true
	case r.record.SHA256 == id.SHA256 && r.record.identity != id:
		return nil, invalid("%s holds a run of this input for %s, not %s; give --restart to begin anew, or another --state",
			job.State, r.record.Endpoint, id.Endpoint)
	case r.record.identity != id:
		return nil, invalid("%s has changed since the run in %s began; give --restart to begin anew, or another --state",
			job.Input, job.State)
	}
	for _, path := range []string{job.Output, job.Errors} {
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			return nil, invalid("%s cannot be written: there is no such directory", path)
		}
		if _, err := r.owned(path); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func newRecord(id identity, results map[string][]string) record {
	if results == nil {
		results = make(map[string][]string)
	}
	ids := openai.New(openai.Options{})
	return record{Version: recordVersion, identity: id, File: ids.NewFileID(), Batch: ids.NewBatchID(), Results: results}
}

// load reads the record and reports whether there is one. A directory without one is not ours to use if it holds anything but
// the beginnings of a run that was killed at once.
func (r *run) load() (bool, error) {
	raw, err := os.ReadFile(filepath.Join(r.job.State, recordName))
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(r.job.State)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, invalid("%s cannot be the state of a run: %v", r.job.State, err)
		}
		for _, e := range entries {
			if e.Name() != datadir.LockFile && e.Name() != recordName+temporarySuffix {
				return false, invalid("%s is not the state of a run, but holds %s; name another directory with --state", r.job.State, e.Name())
			}
		}
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read state of run: %w", err)
	}
	if err := json.Unmarshal(raw, &r.record); err != nil {
		return false, fmt.Errorf("read state of run: %s is damaged: %w; move the directory away to begin anew", recordName, err)
	}
	if r.record.Version != recordVersion {
		return false, fmt.Errorf("state of run in %s has version %d: another version of batchd made it", r.job.State, r.record.Version)
	}
	if r.record.Results == nil {
		r.record.Results = make(map[string][]string)
	}
	return true, nil
}

// begin makes the record durable, and removes what an earlier run left if this is a new one, but for journals that were
// set aside. It holds the directory's lock meanwhile, which the engine takes afterwards. That there is something to clear is
// durable before the first removal, so that a process which dies in between goes on clearing.
func (r *run) begin() (err error) {
	disk, err := vfs.NewOS(r.job.State, vfs.OSOptions{})
	if err != nil {
		return err
	}
	lock, err := datadir.TryLock(r.job.State)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := r.save(disk); err != nil || !r.record.Clearing {
		return err
	}
	entries, err := disk.ReadDir(".")
	if err != nil {
		return fmt.Errorf("clear state of run: %w", err)
	}
	for _, e := range entries {
		if e.Name() == datadir.LockFile || e.Name() == recordName || e.Name() == datadir.Lost {
			continue
		}
		if err := os.RemoveAll(filepath.Join(r.job.State, e.Name())); err != nil {
			return fmt.Errorf("clear state of run: %w", err)
		}
	}
	if err := disk.SyncDir("."); err != nil {
		return fmt.Errorf("clear state of run: %w", err)
	}
	r.record.Clearing = false
	return r.save(disk)
}

// store makes the record as it is now durable.
func (r *run) store() error {
	disk, err := vfs.NewOS(r.job.State, vfs.OSOptions{})
	if err != nil {
		return err
	}
	return r.save(disk)
}

// save replaces the record in one step that survives power loss.
func (r *run) save(disk vfs.FS) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep state of run: %w", err)
		}
	}()
	raw, err := json.MarshalIndent(r.record, "", "  ")
	if err != nil {
		return err
	}
	f, err := vfs.Replace(disk, recordName+temporarySuffix, recordName, func(f vfs.File) error {
		_, err := f.Write(append(raw, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	return f.Close()
}

// nameOf is a result file's name in the record. It stays right when the directory and the files move together.
func (r *run) nameOf(path string) string {
	if relative, err := filepath.Rel(r.job.State, path); err == nil {
		return filepath.ToSlash(relative)
	}
	return path
}

// done returns the summary of a run that has nothing left to do. A result file that somebody removed since is one
// more thing to do.
func (r *run) done() (Summary, bool, error) {
	d := r.record.Done
	if d == nil {
		return Summary{}, false, nil
	}
	s := Summary{
		Progress: Progress{
			Status: batch.Status(d.Status), Total: d.Total, Completed: d.Completed, Failed: d.Failed, OutputTokens: d.OutputTokens,
		},
		Unrun: d.Total - d.Completed - d.Failed, Output: r.job.Output, State: r.job.State, Repeated: true,
	}
	there, err := r.owned(r.job.Output)
	if err == nil && there && d.Total > d.Completed {
		s.Errors = r.job.Errors
		there, err = r.owned(r.job.Errors)
	}
	return s, there, err
}

// owned reports whether the file at path is there. One that no run of this directory made is refused.
func (r *run) owned(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, invalid("%s cannot be a result file: %v", path, err)
	}
	defer func() { _ = f.Close() }() // it is only read
	sum := newDigest(context.Background(), f)
	if _, err := io.Copy(io.Discard, sum); err != nil {
		return false, invalid("%s cannot be a result file: %v", path, err)
	}
	if !slices.Contains(r.record.Results[r.nameOf(path)], sum.sum()) {
		return false, invalid("%s was not made by this run and is left as it is; move it away, or name other files with --output and --errors", path)
	}
	return true, nil
}
