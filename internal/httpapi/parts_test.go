package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect/openai"
	"batchd/internal/store"
)

func TestPartsMayComeAtTheSameTimeInAnyOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	content := strings.Repeat(goodLine, 1000)
	const pieces = 20
	size := len(content)/pieces + 1
	id := f.mustAnnounce(int64(len(content)))
	parts := make([]string, pieces)
	var sending sync.WaitGroup
	for i := range parts {
		sending.Go(func() {
			w := f.addPart(id, content[i*size:min((i+1)*size, len(content))])
			if w.Code != 200 {
				t.Errorf("part %d: %d %s", i, w.Code, w.Body)
				return
			}
			parts[i] = field(t, w.Body.String(), "id")
		})
	}
	sending.Wait()
	done := object(t, f.want(f.complete(id, "", parts...), 200))
	fileID := as[string](t, as[map[string]any](t, done["file"])["id"])
	if got := f.want(f.do("GET", "/v1/files/"+fileID+"/content", ""), 200); got != content {
		t.Errorf("%d bytes that are not those sent", len(got))
	}
	if n := f.objects.count(); n != pieces {
		t.Errorf("%d objects for %d parts: bytes were copied", n, pieces)
	}
	file, err := f.store.File(t.Context(), ours, fileID, now)
	if err != nil || file.Lines != 1000 {
		t.Errorf("%d lines, %v; want 1000", file.Lines, err)
	}
	f.mustCreate(fileID)
}

func TestPartFormsInEveryShape(t *testing.T) {
	t.Parallel()
	whole, contentType := form(part{"data", "blob", goodLine})
	shape := func(parts ...part) (string, string) { return form(parts...) }
	two, twoType := shape(part{"data", "a", goodLine}, part{"data", "b", goodLine})
	none, noneType := shape(part{"other", "a", goodLine})
	empty, emptyType := shape(part{"data", "a", ""})
	bare, bareType := shape(part{"data", "", goodLine})
	extra, extraType := shape(part{"extra", "", "x"}, part{"data", "a", goodLine})
	for name, tc := range map[string]struct {
		body, contentType string
		status            int
	}{
		"as SDKs send it":       {whole, contentType, 200},
		"without a file name":   {bare, bareType, 200},
		"beside other fields":   {extra, extraType, 200},
		"two parts":             {two, twoType, 400},
		"under another name":    {none, noneType, 400},
		"empty part":            {empty, emptyType, 400},
		"cut off":               {whole[:len(whole)-10], contentType, 400},
		"not a form":            {goodLine, "application/octet-stream", 400},
		"longer than announced": {strings.Replace(whole, goodLine, goodLine+"x", 1), contentType, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			id := f.mustAnnounce(int64(len(goodLine)))
			w := f.do("POST", "/v1/uploads/"+id+"/parts", tc.body, "Content-Type", tc.contentType)
			if tc.status == 200 {
				got := object(t, f.want(w, 200))
				if got["object"] != "upload.part" || got["upload_id"] != id || f.objects.count() != 1 {
					t.Errorf("part %v", got)
				}
				return
			}
			if got := faultOf(t, w); got.Status != tc.status || got.Param != "data" {
				t.Errorf("fault %+v, want %d about data", got, tc.status)
			}
			f.wantNothing()
		})
	}
}

func TestI16PartWithAnEncodingIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for _, encoding := range []string{"gzip", "zstd", "br, gzip"} {
		if got := faultOf(t, f.addPart(f.mustAnnounce(lineBytes), goodLine, "Content-Encoding", encoding)); got.Status != 400 {
			t.Errorf("%s: fault %+v", encoding, got)
		}
	}
	f.wantNothing()
}

func TestPartOverTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	id := f.mustAnnounce(batch.GiB)
	large := strings.Repeat("x", int(batch.MaxPartBytes)+1)
	body, contentType := form(part{"data", "blob", large})
	for name, length := range map[string]int64{"by its own account": batch.MaxPartBytes * 2, "as it turns out": -1} {
		r := httptest.NewRequest("POST", "/v1/uploads/"+id+"/parts", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		r.ContentLength = length
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, r)
		if got := faultOf(t, w); got.Status != 413 || got.Param != "data" {
			t.Errorf("%s: fault %+v", name, got)
		}
	}
	f.wantNothing()
	f.mustAddPart(id, large[1:])
}

func TestI14QuotaHoldsForUploadsBeforeAndWhileTheyArrive(t *testing.T) {
	t.Parallel()
	const room = 5000
	tooMuch := strings.Repeat("{}\n", 2000)
	for name, try := range map[string]func(f *fixture) *httptest.ResponseRecorder{
		"announced": func(f *fixture) *httptest.ResponseRecorder { return f.do("POST", "/v1/uploads", announce(room+1)) },
		"file": func(f *fixture) *httptest.ResponseRecorder {
			return f.upload([]part{{"file", "in.jsonl", tooMuch}, {"purpose", "", "batch"}})
		},
		"part": func(f *fixture) *httptest.ResponseRecorder {
			id := f.mustAnnounce(room)
			f.want(f.upload([]part{{"file", "notes.txt", "1"}, {"purpose", "", "assistants"}}), 200)
			defer func() { clear(f.objects.objects) }()
			return f.addPart(id, tooMuch[:room])
		},
		"declared length": func(f *fixture) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", "/v1/files", unread{f.t})
			r.Header.Set("Content-Type", "multipart/form-data; boundary=X")
			r.ContentLength = room + 2<<20
			w := httptest.NewRecorder()
			f.handler.ServeHTTP(w, r)
			return w
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			f.limit(store.Limits{StoredBytes: room})
			w := try(f)
			got := faultOf(t, w)
			if got.Status != 429 || !strings.Contains(got.Message, fmt.Sprint(room)) || w.Header().Get("X-Should-Retry") != "false" {
				t.Errorf("fault %+v, want 429 that names %d", got, room)
			}
			if n := f.objects.count(); n != 0 {
				t.Errorf("%d objects are left", n)
			}
		})
	}
}

// unread is a body that must not be asked for.
type unread struct{ t testing.TB }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestI14UploadsAtTheSameTimeShareTheRoom(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.limit(store.Limits{StoredBytes: 10_000})
	body, contentType := form(part{"file", "notes.txt", strings.Repeat("x", 6000)}, part{"purpose", "", "assistants"})
	// The first upload has sent all but its end; the second would fit but for that.
	source, sink := io.Pipe()
	r := httptest.NewRequest("POST", "/v1/files", source)
	r.Header.Set("Content-Type", contentType)
	first := httptest.NewRecorder()
	var serving sync.WaitGroup
	serving.Go(func() { f.handler.ServeHTTP(first, r) })
	_, _ = io.WriteString(sink, body[:len(body)-5])
	_, _ = io.WriteString(sink, body[len(body)-5:len(body)-4]) // Taken only once what came before has been.
	if got := faultOf(t, f.do("POST", "/v1/files", body, "Content-Type", contentType)); got.Status != 429 {
		t.Errorf("fault %+v of an upload beside another", got)
	}
	_, _ = io.WriteString(sink, body[len(body)-4:])
	_ = sink.Close()
	serving.Wait()
	f.want(first, 200)
	if n := f.objects.count(); n != 1 {
		t.Errorf("%d objects", n)
	}
	f.want(f.upload([]part{{"file", "notes.txt", strings.Repeat("x", 4000)}, {"purpose", "", "assistants"}}), 200)
}

// noParts is a store whose AddPart fails, before or after it has stored the row.
type noParts struct {
	apiStore
	after bool
}

func (s noParts) AddPart(ctx context.Context, tenant string, p batch.Part, at time.Time) error {
	if s.after {
		if err := s.apiStore.AddPart(ctx, tenant, p, at); err != nil {
			return err
		}
	}
	return errors.New("disk I/O error")
}

func TestPartWhoseRowFailsKeepsBytesOnlyIfTheRowIsThere(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"failed": false, "failed after it was stored": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *options) { o.Store = noParts{o.Store, after} })
			if got := faultOf(t, f.addPart(f.mustAnnounce(lineBytes), goodLine)); got.Status != 500 || strings.Contains(got.Message, "I/O") {
				t.Errorf("fault %+v, want 500 without the reason", got)
			}
			if n := f.objects.count(); (n == 1) != after {
				t.Errorf("%d objects", n)
			}
		})
	}
}

// closing is a store that, once armed, cancels every upload right after it has been looked up, as a client may at any
// time.
type closing struct {
	apiStore
	armed *bool
}

func (s closing) Upload(ctx context.Context, tenant, id string, at time.Time) (batch.Upload, *batch.File, error) {
	u, file, err := s.apiStore.Upload(ctx, tenant, id, at)
	if err == nil && *s.armed {
		_, _ = s.CancelUpload(ctx, tenant, id, at)
	}
	return u, file, err
}

func TestUploadThatIsCancelledMeanwhileKeepsNothing(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]func(f *fixture, id, partID string) *httptest.ResponseRecorder{
		"part":     func(f *fixture, id, _ string) *httptest.ResponseRecorder { return f.addPart(id, "x") },
		"complete": func(f *fixture, id, partID string) *httptest.ResponseRecorder { return f.complete(id, "", partID) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			armed := false
			f := newFixture(t, func(o *options) { o.Store = closing{o.Store, &armed} })
			id := f.mustAnnounce(lineBytes)
			partID := f.mustAddPart(id, goodLine)
			armed = true
			if got := faultOf(t, try(f, id, partID)); got.Status != 400 || !strings.Contains(got.Message, "is cancelled") {
				t.Errorf("fault %+v", got)
			}
			if n := f.objects.count(); n != 1 {
				t.Errorf("%d objects, want that of the dropped part", n)
			}
		})
	}
}

// FuzzPartsForm sends any bytes as the form of a part: the answer is never the server's fault, what was refused leaves
// nothing behind, and what was taken is what was sent, with its lines.
func FuzzPartsForm(f *testing.F) {
	good, contentType := form(part{"data", "blob", "{}\n \n{}"})
	f.Add(good, contentType)
	f.Add(good[:len(good)/2], contentType)
	f.Add(good+good, contentType)
	f.Add(strings.ReplaceAll(good, "\r\n", "\n"), contentType)
	f.Add("--X\r\nContent-Disposition: form-data; name=data\r\n\r\n\r\n--X--", "multipart/form-data; boundary=X")
	f.Add("--X\r\nContent-Disposition: form-data; name=\"data\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=7b=7d\r\n--X--", "multipart/form-data; boundary=X")
	f.Add("", "multipart/form-data")
	shared := newFixture(f, func(o *options) { o.Mounts[0].Dialect = openai.New(openai.Options{}) })
	f.Fuzz(func(t *testing.T, body, contentType string) {
		fix := shared.on(t)
		before := fix.objects.count()
		id := fix.mustAnnounce(int64(len(body)) + 1)
		w := fix.do("POST", "/v1/uploads/"+id+"/parts", body, "Content-Type", contentType)
		parts, err := fix.store.Parts(t.Context(), ours, id)
		if err != nil {
			t.Fatal(err)
		}
		if w.Code != 200 {
			if got := faultOf(t, w); got.Status != 400 || len(parts) != 0 || fix.objects.count() != before {
				t.Fatalf("fault %+v, %d parts, %d objects", got, len(parts), fix.objects.count()-before)
			}
			return
		}
		if len(parts) != 1 || parts[0].ID != field(t, w.Body.String(), "id") {
			t.Fatalf("parts %v", parts)
		}
		data := string(fix.objects.object(parts[0].Content.Key))
		if encoded := strings.Contains(strings.ToLower(body), "quoted-printable"); data == "" || !encoded && !strings.Contains(body, data) {
			t.Fatalf("data %q of %q", data, body)
		}
		var lines int64
		for line := range strings.SplitSeq(data, "\n") {
			if strings.Trim(line, " \t\r") != "" {
				lines++
			}
		}
		if got := parts[0].Lines.Lines(); got != lines {
			t.Fatalf("%d lines in %q, want %d", got, data, lines)
		}
	})
}
