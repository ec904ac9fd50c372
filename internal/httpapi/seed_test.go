package httpapi_test

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/store"
)

// seeder puts objects into a server's store without its API, in any state, as the executor would leave them.
type seeder struct {
	*fixture
	blobs    blob.Store
	dialects map[string]dialect.Dialect
	// made counts blobs.
	made int
}

// settings are the words "name=value" of a line; a value with spaces stands in single quotes.
type settings struct {
	t     testing.TB
	words map[string]string
}

var setting = regexp.MustCompile(`(\w+)=(?:'([^']*)'|(\S+))`)

func parseSettings(t testing.TB, line string, known ...string) settings {
	t.Helper()
	s := settings{t, make(map[string]string)}
	for _, m := range setting.FindAllStringSubmatch(line, -1) {
		s.words[m[1]] = cmp.Or(m[2], m[3])
	}
	for name := range s.words {
		if !strings.Contains(" "+strings.Join(known, " ")+" ", " "+name+" ") {
			t.Fatalf("%q: no setting %q; there are %v", line, name, known)
		}
	}
	return s
}

func (s settings) word(name, fallback string) string { return cmp.Or(s.words[name], fallback) }

func (s settings) number(name string, fallback int64) int64 {
	s.t.Helper()
	if s.words[name] == "" {
		return fallback
	}
	n, err := strconv.ParseInt(s.words[name], 10, 64)
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return n
}

// time reads seconds since 1970, or a distance from the tests' time like -2h.
func (s settings) time(name string, fallback time.Time) time.Time {
	s.t.Helper()
	word := s.words[name]
	if word == "" {
		return fallback
	}
	if seconds, err := strconv.ParseInt(word, 10, 64); err == nil {
		return time.Unix(seconds, 0).UTC()
	}
	d, err := time.ParseDuration(word)
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return now.Add(d)
}

// tenant returns whose object it is: ours, or with tenant=theirs the other's.
func (s settings) tenant() string {
	if s.words["tenant"] == "theirs" {
		return theirs
	}
	return ours
}

// seed reads the lines of a section: what to make, its state if it is a batch, and settings.
func (s *seeder) seed(section string) {
	s.t.Helper()
	for line := range strings.Lines(section) {
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch what {
		case "file":
			s.file(parseSettings(s.t, rest, "id", "name", "purpose", "lines", "created", "expires", "tenant", "dialect", "lost"))
		case "batch":
			state, rest, _ := strings.Cut(rest, " ")
			s.batch(batch.Status(state), parseSettings(s.t, rest, "id", "input", "output", "error", "created", "window", "endpoint",
				"metadata", "remark", "key", "total", "completed", "failed", "errors", "faults", "continued", "tenant", "dialect", "stop",
				"started", "cancelling", "finalizing", "ended"))
		case "upload":
			s.upload(parseSettings(s.t, rest, "id", "name", "purpose", "bytes", "created", "tenant"))
		case "limits":
			w := parseSettings(s.t, rest, "bytes", "files", "open", "lines", "tokens", "hourly")
			s.limit(store.Limits{
				StoredBytes: w.number("bytes", 0), Files: w.number("files", 0), OpenBatches: w.number("open", 0),
				EnqueuedLines: w.number("lines", 0), EnqueuedTokens: w.number("tokens", 0), BatchesPerHour: w.number("hourly", 0),
			})
		default:
			s.t.Fatalf("seed %q: want file, batch, upload or limits", line)
		}
	}
}

func (s *seeder) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("seed: %v", err)
	}
}

// put stores bytes as a blob.
func (s *seeder) put(content string) batch.Manifest {
	s.t.Helper()
	s.made++
	b, err := s.blobs.Put(context.Background(), fmt.Sprintf("files/seed-%d", s.made), strings.NewReader(content))
	s.must(err)
	return batch.Manifest{}.Append(b, 0, b.Size)
}

func (s *seeder) file(w settings) batch.File {
	s.t.Helper()
	d := s.dialects[w.word("dialect", "openai")]
	lines := w.number("lines", 1)
	f := batch.File{
		ID: w.word("id", ""), Tenant: w.tenant(), Dialect: d.Name(), Name: w.word("name", "in.jsonl"),
		Purpose: batch.Purpose(w.word("purpose", string(batch.PurposeBatch))), Lines: lines, CreatedAt: w.time("created", now.Add(-time.Hour)),
		ExpiresAt: w.time("expires", time.Time{}), Content: s.put(strings.Repeat(goodLine, int(lines))),
	}
	if f.ID == "" {
		f.ID = d.NewFileID()
	}
	f.Bytes = f.Content.Size()
	s.must(s.store.CreateFile(s.t.Context(), f))
	if w.word("lost", "") != "" {
		s.must(s.blobs.Delete(s.t.Context(), f.Content[0].Blob.Key))
	}
	return f
}

// upload makes a pending upload.
func (s *seeder) upload(w settings) {
	s.t.Helper()
	created := w.time("created", now)
	s.must(s.store.CreateUpload(s.t.Context(), batch.Upload{
		ID: w.word("id", ""), Tenant: w.tenant(), Dialect: "openai", Name: w.word("name", "in.jsonl"),
		Purpose: batch.Purpose(w.word("purpose", string(batch.PurposeBatch))), MIMEType: "application/jsonl", Bytes: w.number("bytes", 0),
		Status: batch.UploadPending, CreatedAt: created, ExpiresAt: created.Add(batch.UploadLife),
	}))
}

// batch makes a batch with its input file and brings it to a state. Each step of its life takes a minute, unless a
// setting says when it is; one that expires does so at the end of its window. One in progress has results if
// completed is set.
func (s *seeder) batch(state batch.Status, w settings) {
	s.t.Helper()
	d := s.dialects[w.word("dialect", "openai")]
	window, err := batch.ParseWindow(w.word("window", "24h"))
	s.must(err)
	created := now.Add(-time.Hour)
	if state == batch.Expired {
		created = created.Add(-window)
	}
	created = w.time("created", created)
	input := settings{s.t, map[string]string{
		"id": w.words["input"], "lines": w.word("total", "1"), "created": strconv.FormatInt(created.Unix(), 10),
		"tenant": w.words["tenant"], "dialect": w.words["dialect"],
	}}
	b := batch.Batch{
		ID: w.word("id", ""), Tenant: w.tenant(), KeyID: w.word("key", "key_"+strings.Repeat("0", 32)), Dialect: d.Name(),
		Endpoint: w.word("endpoint", "/v1/chat/completions"), InputFileID: s.file(input).ID, Window: w.word("window", "24h"),
		Remark: w.word("remark", ""), ContinuedFrom: w.word("continued", ""), Status: batch.Validating, Stop: batch.StopNone,
		CreatedAt: created, ExpiresAt: created.Add(window),
	}
	if b.ID == "" {
		b.ID = d.NewBatchID()
	}
	if metadata := w.word("metadata", ""); metadata != "" {
		b.Metadata = []byte(metadata)
	}
	s.must(s.store.CreateBatch(s.t.Context(), b))
	life := &life{seeder: s, d: d, b: b, clock: created, state: state, total: w.number("total", 1), w: w}
	life.run()
}

// life brings one batch to its state.
type life struct {
	*seeder
	d     dialect.Dialect
	b     batch.Batch
	clock time.Time
	state batch.Status
	total int64
	w     settings
}

// next returns the time of the next step: that of the setting named like it, or a minute after the last.
func (l *life) next(step string) time.Time {
	l.clock = l.w.time(step, l.clock.Add(time.Minute))
	return l.clock
}

func (l *life) run() {
	l.t.Helper()
	ctx := l.t.Context()
	switch l.state {
	case batch.Validating:
		return
	case batch.Failed:
		l.fail()
		return
	}
	l.must(l.store.StartBatch(ctx, store.Start{
		Batch: l.b.ID, Lease: l.lease(store.StageValidate), Now: l.next("started"), Total: l.total, Models: []string{"m"},
		Units: l.units(), Plan: batch.Blob{Key: "plans/" + l.b.ID}, InLineOrder: true,
	}))
	switch l.state {
	case batch.InProgress:
		if l.w.words["completed"] != "" {
			l.seal()
		}
		if l.w.word("stop", "") == string(batch.StopExpire) {
			_, err := l.store.ExpireBatches(ctx, l.b.ExpiresAt)
			l.must(err)
		}
		return
	case batch.Cancelling, batch.Cancelled:
		_, err := l.store.CancelBatch(ctx, l.b.Tenant, l.b.ID, l.next("cancelling"))
		l.must(err)
		if l.state == batch.Cancelling {
			return
		}
	case batch.Expired:
		l.clock = l.b.ExpiresAt
		_, err := l.store.ExpireBatches(ctx, l.clock)
		l.must(err)
	}
	output, failed := l.seal()
	if l.state == batch.Finalizing {
		return
	}
	end := store.Close{Batch: l.b.ID, Lease: l.lease(store.StageFinalize), Now: l.next("ended")}
	end.Output, end.Error = l.result("output", output), l.result("error", failed)
	_, err := l.store.CloseBatch(ctx, end)
	l.must(err)
}

// lease leases this batch, whichever others are due before it.
func (l *life) lease(stage store.Stage) batch.LeaseID {
	l.t.Helper()
	var others []store.Holder
	var ids []string
	node := "seed-" + batch.NewLeaseID().String()
	for {
		h := store.Holder{Node: node, Lease: batch.NewLeaseID()}
		b, err := l.store.LeaseBatch(l.t.Context(), stage, h)
		l.must(err)
		if b.ID == l.b.ID {
			for i, other := range others {
				l.must(l.store.ReleaseBatch(l.t.Context(), ids[i], other.Lease))
			}
			return h.Lease
		}
		others, ids = append(others, h), append(ids, b.ID)
	}
}

func (l *life) fail() {
	l.t.Helper()
	n := l.w.number("errors", 1)
	f := store.Failure{Batch: l.b.ID, Lease: l.lease(store.StageValidate), Now: l.next("ended"), Total: n}
	if faults := l.w.word("faults", ""); faults != "" {
		for fault := range strings.SplitSeq(faults, ",") {
			f.Errors = append(f.Errors, l.fault(fault))
		}
		n = 0
	}
	for line := range n {
		f.Errors = append(f.Errors, batch.LineError{Code: "invalid_json_line", Message: "This line is not parseable as valid JSON.", Line: line + 1})
	}
	l.must(l.store.FailBatch(l.t.Context(), f))
}

// fault is a fault of the input file in the dialect's words: one of the whole file, or of its second line.
func (l *life) fault(word string) (e batch.LineError) {
	l.t.Helper()
	switch word {
	case "empty":
		return l.d.EmptyFile()
	case "gone":
		return l.d.InputMissing(l.b.InputFileID)
	case "tokens":
		return l.d.TokenLimit("m", 10, 1000)
	case "lines":
		return l.d.TooManyLines(50_000)
	case "duplicate":
		e = l.d.DuplicateCustomID("r1", 1)
	case "mixed":
		e = l.d.MismatchedModel("other")
	case "model":
		e = l.d.ModelNotFound("other")
	default:
		l.t.Fatalf("no fault %q", word)
	}
	e.Line = 2
	return e
}

// units are what the batch is cut into: one unit, or two of which the first has the results of one in progress.
func (l *life) units() []batch.UnitSpan {
	first := l.total
	if l.state == batch.InProgress {
		first = l.w.number("completed", l.total) + l.w.number("failed", 0)
	}
	spans := []batch.UnitSpan{{Count: int(first)}}
	if first < l.total {
		spans = append(spans, batch.UnitSpan{First: first, Count: int(l.total - first)})
	}
	return spans
}

// seal seals the first unit and returns the lines of both files.
func (l *life) seal() (output, failed string) {
	l.t.Helper()
	units, err := l.store.LeaseUnits(l.t.Context(), l.b.ID, "seed", 1)
	l.must(err)
	lines := int64(units[0].Count)
	done, bad := l.w.number("completed", l.total), l.w.number("failed", 0)
	for line := range lines {
		r := dialect.Result{ID: fmt.Sprintf("batch_req_%032d", line+1), CustomID: fmt.Appendf(nil, "r%d", line+1), Status: 200}
		body := `{"object":"chat.completion"}`
		switch {
		case line < done:
		case line < done+bad:
			r.Status, body = 400, `{"error":{"message":"No."}}`
		default:
			r.Status, r.Code, body = 0, stopOf(l.state).Code(), ""
		}
		before, after := l.d.ResultFrame(r)
		text := string(before) + body + string(after) + "\n"
		if line < done {
			output += text
		} else {
			failed += text
		}
	}
	_, err = l.store.SealUnits(l.t.Context(), []batch.Seal{{
		UnitID: units[0].UnitID, Lease: units[0].Lease, Segment: batch.Blob{Key: "segments/" + l.b.ID},
		OutputLines: done, ErrorLines: lines - done, Failed: bad, OutputBytes: int64(len(output)), ErrorBytes: int64(len(failed)),
		Usage: batch.Usage{Input: 10 * done, Output: 5 * done, Total: 15 * done},
	}}, l.next("finalizing"))
	l.must(err)
	return output, failed
}

func stopOf(state batch.Status) batch.Stop {
	switch state {
	case batch.Expired:
		return batch.StopExpire
	case batch.Cancelled:
		return batch.StopCancel
	default:
		return batch.StopNone
	}
}

// result is a result file of these lines, nil for none.
func (l *life) result(name, lines string) *store.ResultFile {
	l.t.Helper()
	if lines == "" {
		return nil
	}
	f := batch.File{
		ID: l.w.word(name, ""), Tenant: l.b.Tenant, Dialect: l.d.Name(), Name: l.b.ID + "_" + name + ".jsonl",
		Purpose: batch.PurposeBatchOutput, Bytes: int64(len(lines)), Lines: int64(strings.Count(lines, "\n")), CreatedAt: l.clock, Content: l.put(lines),
	}
	if f.ID == "" {
		f.ID = l.d.NewFileID()
	}
	return &store.ResultFile{File: f, Blobs: f.Content.Blobs()}
}
