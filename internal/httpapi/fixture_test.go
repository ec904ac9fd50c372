package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"batchd/internal/admin"
	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/datadir"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
	"batchd/internal/dialect/own"
	"batchd/internal/diskusage"
	"batchd/internal/httpapi"
	adminapi "batchd/internal/httpapi/admin"
	"batchd/internal/httpapi/batches"
	"batchd/internal/httpapi/files"
	forms "batchd/internal/httpapi/form"
	"batchd/internal/httpapi/modellist"
	"batchd/internal/httpapi/status"
	"batchd/internal/httpapi/uploads"
	"batchd/internal/httpapi/upstreams"
	"batchd/internal/openfile"
	"batchd/internal/retry"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
	"batchd/internal/tenant"
	"batchd/internal/webhook"
)

// now is the time of every test; noon of a day in 2026.
var now = time.Unix(1790000000, 0).UTC()

const ours, theirs = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"

// goodLine is an input line that validation would pass.
const goodLine = `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[]}}` + "\n"

// fixture is a server on a real metadata store, with blobs in memory where tests can damage them.
type fixture struct {
	t       testing.TB
	store   *sqlite.Store
	objects *memory
	handler http.Handler
}

// byKey tells tenants apart by their bearer: "theirs" is the other tenant, anything else ours.
type byKey struct{}

func (byKey) Authenticate(r *http.Request) (tenant.Identity, error) {
	id, _ := tenant.Open{Tenant: ours}.Authenticate(r)
	switch r.Header.Get("Authorization") {
	case "Bearer theirs":
		id.Tenant = theirs
	case "Bearer wrong":
		return id, &batch.Error{Class: batch.Unauthenticated, Code: "invalid_api_key", Message: "Incorrect API key provided."}
	case "Bearer broken":
		return id, errors.New("the key store is on fire")
	}
	return id, nil
}

// apiStore is what all handlers together need of the metadata store.
type apiStore interface {
	store.Files
	batches.Store
	store.Uploads
	forms.Store
	Freeing(ctx context.Context, tenant string, now time.Time) (store.Freeing, error)
	BatchByID(ctx context.Context, id string) (batch.Batch, error)
}

// options are what a test's server is made of: of the functions, those that are nil do what a server does that has nothing
// to say.
type options struct {
	httpapi.Options
	Store apiStore
	Blobs blob.Store

	Progress      func(batchID string) (batch.Counts, bool)
	WaitingFor    func(batchID string) []batch.Waiting
	Damaged       func(b batch.Batch) []batch.DamagedFile
	Upstreams     func() []batch.Upstream
	Created       func(batchID string)
	Cancelled     func(batchID string)
	Ended         func()
	StorageFull   func() error
	Ready         func() httpapi.Readiness
	Rate          func(who tenant.Identity) tenant.Rate
	CheckCallback func(url string) error
	// extra are further routes.
	extra []httpapi.Route
	// Retry has no stand-in: a retry without it panics.
	Retry *retry.Retrier
}

// routes returns those of the whole API.
func (o options) routes() []httpapi.Route {
	receiver := forms.NewReceiver(o.Store, o.Blobs)
	return slices.Concat(
		files.New(o.Store, o.Blobs, receiver, openfile.NewRegistry(time.Minute)).Routes(),
		uploads.New(o.Store, o.Blobs, receiver).Routes(),
		batches.New(o.Store, executor{o}, o.Retry).Routes(),
		upstreams.Routes(node{o}.Upstreams),
		modellist.Routes(func() []string { return []string{"llama3:latest", "m", "openai/*", "org/model"} }),
		status.Routes(func(context.Context) (diskusage.Usage, error) { return diskUsage(), nil }),
		o.extra,
	)
}

// diskUsage is what uses the disk of the server.
func diskUsage() diskusage.Usage {
	amount := func(bytes, objects int64) diskusage.Amount { return diskusage.Amount{Bytes: bytes, Objects: objects} }
	all := diskusage.Kept{Inputs: amount(1000, 3), Results: amount(500, 2), Plans: amount(64, 1), Deleted: amount(10, 1)}
	return diskusage.Usage{
		At: time.Unix(1790000000, 0), Kept: all, Unreferenced: amount(5, 1), Database: amount(4096, 2), Journals: amount(77, 1),
		Tenants: []diskusage.Tenant{{ID: ours, Name: "default", Kept: all}}, Disk: datadir.Room{Free: 10 << 30, Total: 100 << 30, Floor: 2 << 30},
	}
}

// adminRoutes returns those that batchd's own prefix has beside the others.
func (o options) adminRoutes() []httpapi.Route {
	st, _ := o.Store.(admin.Store) // nil in tests of other things
	service := admin.New(admin.Options{
		Store: st, Dialects: []string{"openai", "novita", "neosantara"}, Guard: webhook.NewGuard(nil), Upstreams: node{o}.Upstreams, Now: o.Now,
	})
	return adminapi.New(service, batches.New(o.Store, executor{o}, o.Retry)).Routes()
}

// handler returns the whole API.
func (o options) handler() http.Handler {
	routes := o.routes()
	for i := range o.Mounts {
		o.Mounts[i].Routes = routes
		if o.Mounts[i].Prefix == own.Prefix {
			o.Mounts[i].Routes = slices.Concat(routes, o.adminRoutes())
		}
	}
	o.Node = node{o}
	return httpapi.New(o.Options)
}

// node is the options as the transport sees them.
type node struct{ o options }

func (n node) Ready() httpapi.Readiness {
	if n.o.Ready == nil {
		return httpapi.Readiness{}
	}
	return n.o.Ready()
}

func (n node) Upstreams() []batch.Upstream {
	if n.o.Upstreams == nil {
		return nil
	}
	return n.o.Upstreams()
}

func (n node) Freeing(ctx context.Context, tenant string) (store.Freeing, error) {
	return n.o.Store.Freeing(ctx, tenant, n.o.Now())
}

func (n node) StorageFull() error {
	if n.o.StorageFull == nil {
		return nil
	}
	return n.o.StorageFull()
}

func (n node) Rate(who tenant.Identity) tenant.Rate {
	if n.o.Rate == nil {
		return tenant.Rate{}
	}
	return n.o.Rate(who)
}

// executor is the options as the API on batches sees them.
type executor struct{ o options }

func (x executor) Counts(batchID string) (batch.Counts, bool) {
	if x.o.Progress == nil {
		b, err := x.o.Store.BatchByID(context.Background(), batchID)
		return b.Counts, err == nil
	}
	return x.o.Progress(batchID)
}

func (x executor) WaitingFor(batchID string) []batch.Waiting {
	if x.o.WaitingFor == nil {
		return nil
	}
	return x.o.WaitingFor(batchID)
}

func (x executor) Damaged(b batch.Batch) []batch.DamagedFile {
	if x.o.Damaged == nil {
		return nil
	}
	return x.o.Damaged(b)
}

func (x executor) Created(batchID string) {
	if x.o.Created != nil {
		x.o.Created(batchID)
	}
}

func (x executor) Cancelled(batchID string) {
	if x.o.Cancelled != nil {
		x.o.Cancelled(batchID)
	}
}

func (x executor) Ended() {
	if x.o.Ended != nil {
		x.o.Ended()
	}
}

func (x executor) CheckCallback(url string) error {
	if x.o.CheckCallback == nil {
		return batch.Invalidf("callback_url", "invalid_value", "This server calls nobody back. Leave 'callback_url' out.")
	}
	return x.o.CheckCallback(url)
}

// newFixture starts a server after change, if not nil, has had its say on the options.
func newFixture(t testing.TB, change func(*options)) *fixture {
	t.Helper()
	s, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "meta.db"), sqlite.Options{MayCreate: true, Tenant: ours})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	f := &fixture{t: t, store: s, objects: newMemory()}
	o := options{Store: s, Blobs: blob.NewStore(f.objects, blob.Options{CacheBlocks: -1}), Options: httpapi.Options{
		Auth: byKey{}, Tenants: s,
		Mounts: []httpapi.Mount{{Prefix: "/v1", Profile: server().Profile(openai.New(openai.Options{Random: counting()}))}},
		Now:    func() time.Time { return now },
	}}
	if change != nil {
		change(&o)
	}
	f.handler = o.handler()
	return f
}

// server is what the tests' servers say where a dialect has nothing of its own.
func server() dialect.Server {
	return dialect.Server{Limits: batch.DefaultLimits(), Windows: []string{"1h", "24h", "48h", "7d"}, AnyWindow: true}
}

// on returns the same server for another test, like one run of a fuzz target.
func (f *fixture) on(t testing.TB) *fixture {
	other := *f
	other.t = t
	return &other
}

// counting returns a source of ids that are easy to read: every byte of the first is 1, of the second 2.
func counting() func([]byte) {
	var mu sync.Mutex
	var n byte
	return func(p []byte) {
		mu.Lock()
		defer mu.Unlock()
		n++
		for i := range p {
			p[i] = n
		}
	}
}

// do sends one request without a network and returns the answer.
func (f *fixture) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

// want fails the test unless the answer has the status, and returns its body.
func (f *fixture) want(w *httptest.ResponseRecorder, status int) string {
	f.t.Helper()
	if w.Code != status {
		f.t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	return w.Body.String()
}

// part is a part of a form; one with a filename is a file.
type part struct{ name, filename, value string }

// form encodes parts in their order.
func form(parts ...part) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		var dst io.Writer
		if p.filename != "" {
			dst, _ = w.CreateFormFile(p.name, p.filename)
		} else {
			dst, _ = w.CreateFormField(p.name)
		}
		_, _ = io.WriteString(dst, p.value)
	}
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

// upload posts a form as our tenant, or as another with the headers given.
func (f *fixture) upload(parts []part, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	body, contentType := form(parts...)
	return f.do("POST", "/v1/files", body, append([]string{"Content-Type", contentType}, headers...)...)
}

// mustUpload uploads content for purpose batch and returns the file's id.
func (f *fixture) mustUpload(content string, headers ...string) string {
	f.t.Helper()
	w := f.upload([]part{{"purpose", "", "batch"}, {"file", "in.jsonl", content}}, headers...)
	return field(f.t, f.want(w, 200), "id")
}

// mustCreate creates a batch on a file and returns the batch's id.
func (f *fixture) mustCreate(fileID string, headers ...string) string {
	f.t.Helper()
	w := f.do("POST", "/v1/batches", createBody(fileID), headers...)
	return field(f.t, f.want(w, 200), "id")
}

func createBody(fileID string) string {
	return `{"input_file_id":"` + fileID + `","endpoint":"/v1/chat/completions","completion_window":"24h"}`
}

// memory is a blob backend in memory whose objects can be damaged.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	putErr  error
	// slow is how long it takes to store the first bytes of an object; puts is how many are being stored.
	slow time.Duration
	puts int
}

func newMemory() *memory { return &memory{objects: make(map[string][]byte)} }

func (m *memory) Put(ctx context.Context, key string, r io.Reader) (int64, error) {
	m.mu.Lock()
	m.puts++
	m.mu.Unlock()
	first := make([]byte, 1)
	n, err := r.Read(first)
	if m.slow > 0 {
		<-time.After(m.slow)
	}
	var raw []byte
	if err == nil {
		raw, err = io.ReadAll(r)
	} else if errors.Is(err, io.EOF) {
		err = nil
	}
	raw = append(first[:n], raw...)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts--
	if err = errors.Join(err, m.putErr, ctx.Err()); err != nil {
		return 0, err
	}
	m.objects[key] = raw
	return int64(len(raw)), nil
}

func (m *memory) ReadAt(_ context.Context, key string, p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, ok := m.objects[key]
	if !ok {
		return 0, blob.ErrNotExist
	}
	return bytes.NewReader(raw).ReadAt(p, off)
}

func (m *memory) Stat(_ context.Context, key string) (blob.Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, ok := m.objects[key]
	if !ok {
		return blob.Info{}, blob.ErrNotExist
	}
	return blob.Info{Key: key, Size: int64(len(raw))}, nil
}

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

func (m *memory) List(_ context.Context, prefix string, fn func(blob.Info) error) error {
	m.mu.Lock()
	all := maps.Clone(m.objects)
	m.mu.Unlock()
	for key, raw := range all {
		if strings.HasPrefix(key, prefix) {
			if err := fn(blob.Info{Key: key, Size: int64(len(raw))}); err != nil {
				return err
			}
		}
	}
	return nil
}

// count returns how many objects there are.
func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.objects)
}

// putting returns how many objects are being stored.
func (m *memory) putting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.puts
}

// object returns the bytes of an object, nil if there is none.
func (m *memory) object(key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[key]
}

// damage flips a bit at offset off of every object.
func (m *memory) damage(off int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, raw := range m.objects {
		raw[off] ^= 1
	}
}
