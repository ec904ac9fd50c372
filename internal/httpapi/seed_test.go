package httpapi_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
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
		case "webhook":
			w := parseSettings(s.t, rest, "id", "url", "tenant")
			s.must(s.store.AddWebhook(s.t.Context(), store.Webhook{
				ID: w.word("id", ""), Tenant: w.tenant(), URL: w.word("url", ""), Secret: store.NewSecret(), CreatedAt: now,
			}))
		case "attempt":
			s.attempt(parseSettings(s.t, rest, "batch", "status"))
		case "limits":
			w := parseSettings(s.t, rest, "bytes", "files", "open", "lines", "tokens", "hourly")
			s.limit(store.Limits{
				StoredBytes: w.number("bytes", 0), Files: w.number("files", 0), OpenBatches: w.number("open", 0),
				EnqueuedLines: w.number("lines", 0), EnqueuedTokens: w.number("tokens", 0), BatchesPerHour: w.number("hourly", 0),
			})
		default:
			s.t.Fatalf("seed %q: want file, batch, upload, webhook, attempt or limits", line)
		}
	}
}

// attempt records an answer to the only delivery of a batch, which it ends: 410 disables the webhook, too.
func (s *seeder) attempt(w settings) {
	s.t.Helper()
	found, err := s.store.ListDeliveries(s.t.Context(), store.DeliveryQuery{Batch: w.word("batch", ""), Limit: 2})
	s.must(err)
	if len(found) != 1 {
		s.t.Fatalf("batch %s has %d deliveries, want one", w.word("batch", ""), len(found))
	}
	a := store.Attempt{Delivery: found[0].ID, State: store.DeliveryDone, Status: int(w.number("status", http.StatusOK)), Now: now}
	if a.Gone = a.Status == http.StatusGone; a.Gone {
		a.State = store.DeliveryAbandoned
	}
	s.must(s.store.RecordAttempt(s.t.Context(), a))
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
		Status: batch.UploadPending, CreatedAt: created, ExpiresAt: created.Add(batch.UploadTTL),
	}))
}

// batch makes a batch with its input file and brings it to a state. Each step takes a minute, unless a
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
	h := &history{seeder: s, d: d, b: b, clock: created, state: state, total: w.number("total", 1), w: w}
	h.run()
}

// history brings one batch to its state.
type history struct {
	*seeder
	d     dialect.Dialect
	b     batch.Batch
	clock time.Time
	state batch.Status
	total int64
	w     settings
}

// next returns the time of the next step: that of the setting named like it, or a minute after the last.
func (h *history) next(step string) time.Time {
	h.clock = h.w.time(step, h.clock.Add(time.Minute))
	return h.clock
}

func (h *history) run() {
	h.t.Helper()
	ctx := h.t.Context()
	switch h.state {
	case batch.Validating:
		return
	case batch.Failed:
		h.fail()
		return
	}
	h.must(h.store.StartBatch(ctx, store.Start{
		Batch: h.b.ID, Lease: h.lease(store.StageValidate), Now: h.next("started"), Total: h.total, Models: []string{"m"},
		Units: h.units(), Plan: batch.Blob{Key: "plans/" + h.b.ID}, InLineOrder: true,
	}))
	switch h.state {
	case batch.InProgress:
		if h.w.words["completed"] != "" {
			h.seal()
		}
		if h.w.word("stop", "") == string(batch.StopExpire) {
			_, err := h.store.ExpireBatches(ctx, h.b.ExpiresAt)
			h.must(err)
		}
		return
	case batch.Cancelling, batch.Cancelled:
		_, err := h.store.CancelBatch(ctx, h.b.Tenant, h.b.ID, h.next("cancelling"))
		h.must(err)
		if h.state == batch.Cancelling {
			return
		}
	case batch.Expired:
		h.clock = h.b.ExpiresAt
		_, err := h.store.ExpireBatches(ctx, h.clock)
		h.must(err)
	}
	output, failed := h.seal()
	if h.state == batch.Finalizing {
		return
	}
	end := store.Close{Batch: h.b.ID, Lease: h.lease(store.StageFinalize), Now: h.next("ended")}
	end.Output, end.Error = h.result("output", output), h.result("error", failed)
	_, err := h.store.CloseBatch(ctx, end)
	h.must(err)
}

// lease leases this batch, whichever others are due before it.
func (h *history) lease(stage store.Stage) batch.LeaseID {
	h.t.Helper()
	var others []store.Holder
	var ids []string
	node := "seed-" + batch.NewLeaseID().String()
	for {
		holder := store.Holder{Node: node, Lease: batch.NewLeaseID()}
		b, err := h.store.LeaseBatch(h.t.Context(), stage, holder)
		h.must(err)
		if b.ID == h.b.ID {
			for i, other := range others {
				h.must(h.store.ReleaseBatch(h.t.Context(), ids[i], other.Lease))
			}
			return holder.Lease
		}
		others, ids = append(others, holder), append(ids, b.ID)
	}
}

func (h *history) fail() {
	h.t.Helper()
	n := h.w.number("errors", 1)
	f := store.Failure{Batch: h.b.ID, Lease: h.lease(store.StageValidate), Now: h.next("ended"), Total: n}
	if faults := h.w.word("faults", ""); faults != "" {
		for fault := range strings.SplitSeq(faults, ",") {
			f.Errors = append(f.Errors, h.fault(fault))
		}
		n = 0
	}
	for line := range n {
		f.Errors = append(f.Errors, batch.LineError{Code: "invalid_json_line", Message: "This line is not parseable as valid JSON.", Line: line + 1})
	}
	h.must(h.store.FailBatch(h.t.Context(), f))
}

// fault is a fault of the input file in the dialect's words: one of the whole file, or of its second line.
func (h *history) fault(word string) (e batch.LineError) {
	h.t.Helper()
	switch word {
	case "empty":
		return h.d.EmptyFile()
	case "gone":
		return h.d.InputMissing(h.b.InputFileID)
	case "tokens":
		return h.d.TokenLimit("m", 10, 1000)
	case "lines":
		return h.d.TooManyLines(50_000)
	case "duplicate":
		e = h.d.DuplicateCustomID("r1", 1)
	case "mixed":
		e = h.d.MismatchedModel("other")
	case "model":
		e = h.d.ModelNotFound("other")
	default:
		h.t.Fatalf("no fault %q", word)
	}
	e.Line = 2
	return e
}

// units are what the batch is cut into: one unit, or two of which the first has the results of one in progress.
func (h *history) units() []batch.UnitSpan {
	first := h.total
	if h.state == batch.InProgress {
		first = h.w.number("completed", h.total) + h.w.number("failed", 0)
	}
	spans := []batch.UnitSpan{{Count: int(first)}}
	if first < h.total {
		spans = append(spans, batch.UnitSpan{First: first, Count: int(h.total - first)})
	}
	return spans
}

// seal seals the first unit and returns the lines of both files.
func (h *history) seal() (output, failed string) {
	h.t.Helper()
	units, err := h.store.LeaseUnits(h.t.Context(), h.b.ID, "seed", 1)
	h.must(err)
	lines := int64(units[0].Count)
	done, bad := h.w.number("completed", h.total), h.w.number("failed", 0)
	for line := range lines {
		r := dialect.Result{ID: fmt.Sprintf("batch_req_%032d", line+1), CustomID: fmt.Appendf(nil, "r%d", line+1), Status: 200}
		body := `{"object":"chat.completion"}`
		switch {
		case line < done:
		case line < done+bad:
			r.Status, body = 400, `{"error":{"message":"No."}}`
		default:
			r.Status, r.Code, body = 0, stopOf(h.state).Code(), ""
		}
		before, after := h.d.ResultFrame(r)
		text := string(before) + body + string(after) + "\n"
		if line < done {
			output += text
		} else {
			failed += text
		}
	}
	_, err = h.store.SealUnits(h.t.Context(), []batch.Seal{{
		UnitID: units[0].UnitID, Lease: units[0].Lease, Segment: batch.Blob{Key: "segments/" + h.b.ID},
		OutputLines: done, ErrorLines: lines - done, Failed: bad, OutputBytes: int64(len(output)), ErrorBytes: int64(len(failed)),
		Usage: batch.Usage{Input: 10 * done, Output: 5 * done, Total: 15 * done},
	}}, h.next("finalizing"))
	h.must(err)
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
func (h *history) result(name, lines string) *store.ResultFile {
	h.t.Helper()
	if lines == "" {
		return nil
	}
	f := batch.File{
		ID: h.w.word(name, ""), Tenant: h.b.Tenant, Dialect: h.d.Name(), Name: h.b.ID + "_" + name + ".jsonl",
		Purpose: batch.PurposeBatchOutput, Bytes: int64(len(lines)), Lines: int64(strings.Count(lines, "\n")), CreatedAt: h.clock, Content: h.put(lines),
	}
	if f.ID == "" {
		f.ID = h.d.NewFileID()
	}
	return &store.ResultFile{File: f, Blobs: f.Content.Blobs()}
}
