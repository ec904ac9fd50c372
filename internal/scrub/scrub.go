// Package scrub reads every stored file from time to time and checks it against its checksums, so that the operator knows
// of damage before a customer finds it. It promises to take a small part of the disk's time, to go on after a restart where
// it was, and to tell of each damaged blob once. It mends and deletes nothing, and serves no bytes to anybody.
package scrub

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/store"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// filesAtOnce is how many files one query returns.
	filesAtOnce = 50
	// pieceBytes is how much is read between two looks at whether the place is to be saved, and saveEvery how often it is: what
	// a restart reads again costs less than a commit for every small file.
	pieceBytes = 16 * batch.MiB
	saveEvery  = 30 * time.Second
	// restShare is how many times as long as reading a block took nothing is read afterwards: whoever else uses the disk makes
	// reading slow, and so gets four fifths of its time at least.
	restShare = 4
	// refreshEvery is how often what is known is looked at again: files go, and with them what was wrong with them, and what was
	// mended need not be told until the next pass. Of so many blobs at a time, that is.
	refreshEvery = time.Hour
	mostRechecks = 100
	// retryAfter is the pause after an error of the store.
	retryAfter = time.Minute
	// saveTime bounds the last write of a process that stops.
	saveTime = 5 * time.Second
	// mostDamages bounds what is kept and told: on a disk of which all is lost, more of it would tell nothing.
	mostDamages = 10_000
)

// Options configures a Scrubber. All fields are required but Every, without which nothing is read.
type Options struct {
	Store store.Scrub
	// Blobs reads what is stored. Whoever it tells of damaged blocks is told by the Scrubber too.
	Blobs blob.Store
	// Every is how long after the beginning of one pass the next one begins, if it is through; 0 is never.
	Every time.Duration
	// Rate is how many bytes are read a second at most.
	Rate int64
	// Now is the wall clock, by which passes are due; the pace goes by the monotonic clock.
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Scrubber reads the files of one store. Run is its only goroutine; the other methods may be called concurrently, before
// Run as well as after it.
type Scrubber struct {
	o Options
	findings
	metrics metrics

	// Only Run's goroutine touches following fields. state is where the pass under way is, saved when that was stored last.
	state store.ScrubState
	saved time.Time
}

// New returns a scrubber that knows of no damage yet.
func New(o Options) *Scrubber {
	s := &Scrubber{o: o}
	s.set(nil)
	s.metrics = newMetrics(o.Registerer, &s.findings)
	return s
}

// Run reads what was found before, and from then on begins a pass whenever one is due, until ctx ends. An error of the store
// is logged, and what it kept from being done is tried again.
func (s *Scrubber) Run(ctx context.Context) {
	for {
		err := s.work(ctx)
		if ctx.Err() != nil {
			return
		}
		s.o.Logger.Error("scrub; trying again", "error", err)
		if !sleep(ctx, retryAfter) {
			return
		}
	}
}

// work goes on with the pass under way, and with further ones as they are due. It returns with the first error, or when ctx
// ends.
func (s *Scrubber) work(ctx context.Context) error {
	var err error
	if s.state, err = s.o.Store.ScrubState(ctx); err != nil {
		return err
	}
	s.metrics.finished(s.state.Finished)
	for {
		if err := s.refresh(ctx); err != nil {
			return err
		}
		wait := refreshEvery
		if s.o.Every > 0 {
			wait = min(wait, s.due().Sub(s.o.Now()))
		}
		if wait <= 0 {
			if err := s.pass(ctx); err != nil {
				return err
			}
			continue
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// underWay reports whether a pass has begun and is not through.
func (s *Scrubber) underWay() bool { return s.state.Finished.Before(s.state.Started) }

// due is when there is something to read: at once for a pass that is under way, or for the first one.
func (s *Scrubber) due() time.Time {
	if s.underWay() || s.state.Started.IsZero() {
		return time.Time{}
	}
	return s.state.Started.Add(s.o.Every)
}

// pass reads all files, or what is left of them.
func (s *Scrubber) pass(ctx context.Context) error {
	if !s.underWay() {
		s.state = store.ScrubState{Started: s.o.Now(), Finished: s.state.Finished}
		if err := s.save(ctx); err != nil {
			return err
		}
	}
	if err := s.files(ctx); err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
		defer cancel()
		return errors.Join(err, s.save(last))
	}
	// What was not found again has been mended, or its file is gone.
	if err := s.o.Store.ForgetDamage(ctx, s.state.Started); err != nil {
		return err
	}
	s.state.Finished, s.state.File, s.state.Offset = s.o.Now(), 0, 0
	if !s.state.Finished.After(s.state.Started) {
		s.state.Finished = s.state.Started // the clock was set back meanwhile
	}
	if err := s.save(ctx); err != nil {
		return err
	}
	s.metrics.finished(s.state.Finished)
	s.o.Logger.Debug("scrub pass is through", "after", s.state.Finished.Sub(s.state.Started).Round(time.Second))
	return nil
}

// files reads the files from where the pass is on.
func (s *Scrubber) files(ctx context.Context) error {
	for {
		files, err := s.o.Store.FilesFrom(ctx, s.state.File, filesAtOnce)
		if err != nil {
			return err
		}
		for _, f := range files {
			if f.Seq != s.state.File {
				s.state.File, s.state.Offset = f.Seq, 0
			}
			if err := s.file(ctx, f); err != nil {
				return err
			}
			s.state.File, s.state.Offset = f.Seq+1, 0
			if err := s.saveSometimes(ctx); err != nil {
				return err
			}
		}
		if len(files) < filesAtOnce {
			return nil
		}
	}
}

// file reads one file from where the pass is on. Of a blob that is found damaged no more is read for this file.
func (s *Scrubber) file(ctx context.Context, f batch.File) error {
	content, err := blob.Content(ctx, s.o.Blobs, f)
	if err != nil {
		return s.found(ctx, f, f.ContentBlob.Key, err)
	}
	damaged := ""
	for _, e := range content {
		for s.state.Offset < e.Start+e.Length && e.Blob.Key != damaged {
			skip := s.state.Offset - e.Start
			length := min(e.Length-skip, pieceBytes)
			if err := s.piece(ctx, e.Blob, e.Offset+skip, length); err != nil {
				if err := s.found(ctx, f, e.Blob.Key, err); err != nil {
					return err
				}
				damaged = e.Blob.Key
			}
			s.state.Offset += length
			if err := s.saveSometimes(ctx); err != nil {
				return err
			}
		}
		s.state.Offset = max(s.state.Offset, e.Start+e.Length)
	}
	return nil
}

// piece reads a part of a blob at the pace that is set.
func (s *Scrubber) piece(ctx context.Context, b batch.Blob, offset, length int64) error {
	r := s.o.Blobs.Open(ctx, b, offset, length)
	defer r.Close()
	p := &pacer{ctx: ctx, rate: s.o.Rate, count: s.metrics.bytes, began: time.Now()}
	if _, err := io.Copy(p, r); err != nil {
		return err
	}
	// The disk has read whole blocks, also where the piece has only some bytes of the first or the last one.
	first := offset / batch.BlobBlock * batch.BlobBlock
	last := min((offset+length+batch.BlobBlock-1)/batch.BlobBlock*batch.BlobBlock, b.Size)
	return p.rest(last - first - length)
}

// found notes that a blob of a file could not be read. It returns errors of the store only, and that of ctx.
func (s *Scrubber) found(ctx context.Context, f batch.File, key string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d := store.Damage{File: f.ID, Key: key, Seen: s.o.Now()}
	if d.Seen.Before(s.state.Started) {
		d.Seen = s.state.Started // the clock was set back: the end of the pass must not take it for old
	}
	switch {
	case errors.Is(err, blob.ErrCorrupt):
		d.Problem = store.ProblemDamaged
	case errors.Is(err, blob.ErrNotExist):
		d.Problem = store.ProblemMissing
	default:
		d.Problem = store.ProblemUnreadable
	}
	if s.full() && !s.knows(d.File, d.Key) {
		return nil
	}
	added, storeErr := s.o.Store.RecordDamage(ctx, d)
	if storeErr != nil || !added {
		return storeErr
	}
	d.Found = d.Seen
	if s.add(d) {
		s.o.Logger.Error("a stored file is damaged: it cannot be downloaded whole",
			"file", f.ID, "purpose", string(f.Purpose), "key", key, "problem", string(d.Problem), "error", err)
	}
	return nil
}

// refresh looks again at what is known to be damaged, and forgets what was mended.
func (s *Scrubber) refresh(ctx context.Context) error {
	all, err := s.o.Store.Damages(ctx, mostDamages)
	if err != nil {
		return err
	}
	s.set(all)
	if s.o.Every == 0 {
		return nil // nothing is read then
	}
	var left []store.Damage
	for i, d := range all {
		whole := false
		if i < mostRechecks {
			if whole, err = s.mended(ctx, d); err != nil {
				return err
			}
		}
		if !whole {
			left = append(left, d)
			continue
		}
		if err := s.o.Store.DropDamage(ctx, d.File, d.Key); err != nil {
			return err
		}
		s.o.Logger.Info("a stored file that was damaged can be read again", "file", d.File, "key", d.Key)
	}
	s.set(left)
	return nil
}

// mended reads a damaged blob of a file again, up to what is still wrong with it.
func (s *Scrubber) mended(ctx context.Context, d store.Damage) (bool, error) {
	files, err := s.o.Store.FilesFrom(ctx, d.Seq, 1)
	if err != nil || len(files) == 0 || files[0].ID != d.File {
		return false, err // the file has gone just now
	}
	content, err := blob.Content(ctx, s.o.Blobs, files[0])
	for _, e := range content {
		if err == nil && e.Blob.Key == d.Key {
			err = s.piece(ctx, e.Blob, e.Offset, e.Length)
		}
	}
	return err == nil, context.Cause(ctx)
}

// save stores where the pass is.
func (s *Scrubber) save(ctx context.Context) error {
	s.saved = time.Now()
	return s.o.Store.SaveScrub(ctx, s.state)
}

func (s *Scrubber) saveSometimes(ctx context.Context) error {
	if time.Since(s.saved) < saveEvery {
		return nil
	}
	return s.save(ctx)
}
