package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
)

// kind is a kind of object that has an id.
type kind int

const (
	none kind = iota
	aFile
	aBatch
	anEndedBatch
	anUpload
	aPart
)

// row is how the matrix makes one call of the route table.
type row struct {
	// names is the kind of object whose id is in the path, refers that of the one whose id stands for "%" in query or
	// body.
	names, refers kind
	query, body   string
	// form is the field of a form that a file is sent in; "" for a call without a form.
	form string
	// offered reports whether a dialect has the call; nil means that all do.
	offered func(dialect.Dialect) bool
	// operator calls are refused to every tenant's key.
	operator bool
	// content is set for a call that shows or brings what a file holds, or starts work: an admin makes it for another tenant
	// only with a key for content. actFor is what the route says of that.
	content, actFor bool
}

// matrix has a row for every method of every route that needs a key.
func matrix() map[string]row {
	announced := fmt.Sprintf(`{"filename":"in.jsonl","purpose":"batch","bytes":%d,"mime_type":"text/jsonl"}`, len(goodLine))
	return map[string]row{
		"POST /files":                 {form: "file", content: true},
		"GET /files":                  {refers: aFile, query: "?after=%"},
		"GET /files/{id}":             {names: aFile},
		"DELETE /files/{id}":          {names: aFile},
		"GET /files/{id}/content":     {names: aFile, content: true},
		"POST /batches":               {refers: aFile, body: createBody("%"), content: true},
		"GET /batches":                {refers: aBatch, query: "?after=%"},
		"GET /batches/{id}":           {names: aBatch},
		"PATCH /batches/{id}":         {names: aBatch, body: `{"remark":"x"}`, offered: has[dialect.Editor]},
		"POST /batches/{id}/cancel":   {names: aBatch},
		"POST /batches/{id}/retry":    {names: anEndedBatch},
		"POST /uploads":               {body: announced, offered: has[dialect.Uploader], content: true},
		"POST /uploads/{id}/parts":    {names: anUpload, form: "data", offered: has[dialect.Uploader], content: true},
		"POST /uploads/{id}/complete": {names: anUpload, refers: aPart, body: `{"part_ids":["%"]}`, offered: has[dialect.Uploader], content: true},
		"POST /uploads/{id}/cancel":   {names: anUpload, offered: has[dialect.Uploader]},
		"GET /models":                 {},
		"GET /models/{id...}":         {},
		"GET /upstreams":              {offered: has[dialect.Watcher]},
		"GET /disk":                   {offered: has[dialect.Watcher], operator: true},
	}
}

func has[T any](d dialect.Dialect) bool { _, ok := d.(T); return ok }

// TestI20EveryRouteWithEveryKindOfIDAndKey goes through the route table under every prefix. A method of a route that has
// no row in the matrix fails the test.
func TestI20EveryRouteWithEveryKindOfIDAndKey(t *testing.T) {
	t.Parallel()
	rows := matrix()
	for _, rt := range httpapi.Table(options{}.routes()) {
		for _, method := range rt.Methods {
			name := method + " " + rt.Path
			r, ok := rows[name]
			delete(rows, name)
			switch {
			case rt.Open && rt.Path == "/openapi.json": // the only one that is for anybody
			case !ok || rt.Admin:
				t.Errorf("%s has no row in the matrix", name)
			default:
				r.actFor = slices.Contains(rt.ActFor, method)
				path := strings.Replace(rt.Path, "{id...}", "m", 1) // a model is nobody's
				if method == http.MethodGet {
					checkCell(t, http.MethodHead, path, r)
				}
				checkCell(t, method, path, r)
			}
		}
	}
	for name := range rows {
		t.Errorf("%s is no route", name)
	}
}

func checkCell(t *testing.T, method, path string, r row) {
	t.Helper()
	for _, prefix := range []string{"/v1", "/openai/v1", "/neosantara/v1", "/batchd/v1"} {
		t.Run(method+" "+prefix+path, func(t *testing.T) {
			t.Parallel()
			c := newCell(t, prefix, method, path, r)
			seen := c.view()
			for _, key := range []string{"ours", "admin", "content"} {
				c.checkForeignIDs(key)
			}
			c.checkOddIDs()
			c.checkCredentials()
			c.checkOthersTenants()
			if after := c.view(); after != seen {
				t.Errorf("refused calls left %s\nafter %s", after, seen)
			}
			c.checkOwnIDs()
			c.checkActing()
		})
	}
}

// cell is a call of the matrix under one prefix, on a server of its own.
type cell struct {
	*fixture
	row
	prefix, method, path string
	// offered is set if the dialect there has the call.
	offered bool
	// own are the objects that our key may name, foreign those of the other tenant.
	own, foreign operands
}

// operands are the ids that one call is made with: in its path, and in its query or body.
type operands struct{ named, referred string }

func newCell(t *testing.T, prefix, method, path string, r row) *cell {
	t.Helper()
	c := &cell{row: r, prefix: prefix, method: method, path: path}
	c.fixture = newFixture(t, func(o *options) {
		mountVendors(o, false)
		demandKeys(o)
		at := slices.IndexFunc(o.Mounts, func(m httpapi.Mount) bool { return m.Prefix == prefix })
		c.offered = r.offered == nil || r.offered(o.Mounts[at].Dialect)
		o.Retry = retrier(o, func(ctx context.Context, _ batch.Batch) (batch.Blob, int64, error) {
			rest, err := o.Blobs.Put(ctx, "files/rest", strings.NewReader(goodLine))
			return rest, 1, err
		})
	})
	c.addKeys()
	c.foreign, c.own = c.operands("theirs"), c.operands("ours")
	return c
}

func (c *cell) operands(key string) operands {
	c.t.Helper()
	named := c.create(c.names, key, "")
	return operands{named, c.create(c.refers, key, named)}
}

// create makes an object with a key and returns its id; a part is one of the upload.
func (c *cell) create(k kind, key, upload string) string {
	c.t.Helper()
	var w *httptest.ResponseRecorder
	switch k {
	case aFile:
		w = c.send(key, "POST", c.prefix+"/files", "", "file")
	case aBatch:
		w = c.send(key, "POST", c.prefix+"/batches", createBody(c.create(aFile, key, "")), "")
	case anEndedBatch:
		id := c.create(aBatch, key, "")
		c.advance(id, batch.Completed)
		return id
	case anUpload:
		w = c.send(key, "POST", "/v1/uploads", matrix()["POST /uploads"].body, "")
	case aPart:
		w = c.send(key, "POST", "/v1/uploads/"+upload+"/parts", "", "data")
	default:
		return ""
	}
	return field(c.t, c.want(w, 200), "id")
}

// secret stands in all files of the other tenant, which theirLine makes as long as others'.
const secret = "of-the-others!"

var theirLine = strings.Replace(goodLine, `"model":"m","messages":[]`, `"secret":"`+secret+`"`, 1)

// send makes a call with a key, with a form if it has a field for the file. A key like "admin for theirs" names a tenant, too.
// Nobody but the other tenant is shown what its files hold, and whoever acts for it with a key for content.
func (c *cell) send(key, method, target, body, formField string) *httptest.ResponseRecorder {
	c.t.Helper()
	var headers []string
	key, named, acting := strings.Cut(key, " for ")
	if acting {
		headers = []string{"X-Batchd-Tenant", named}
	}
	contentType := "application/json"
	if formField != "" {
		line := goodLine
		if key == "theirs" {
			line = theirLine
		}
		body, contentType = form(part{"purpose", "", "batch"}, part{formField, "in.jsonl", line})
	}
	w := c.do(method, target, body, append(headers, "Content-Type", contentType, "Authorization", "Bearer "+key)...)
	if strings.Contains(w.Body.String(), secret) && key != "theirs" && (key != "content" || !acting) {
		c.t.Errorf("%s %s shows the key %q what a file of the other tenant holds: %s", method, target, key, w.Body)
	}
	return w
}

// call makes the cell's call.
func (c *cell) call(key string, o operands) *httptest.ResponseRecorder {
	c.t.Helper()
	target := c.prefix + strings.Replace(c.path, "{id}", o.named, 1) + strings.Replace(c.query, "%", o.referred, 1)
	return c.send(key, c.method, target, strings.Replace(c.body, "%", o.referred, 1), c.form)
}

// absent returns an id of the same form that nothing has, none for none.
func absent(id string) string {
	if id == "" {
		return ""
	}
	last := "0"
	if strings.HasSuffix(id, last) {
		last = "1"
	}
	return id[:len(id)-1] + last
}

// shown returns all of an answer but the ids in it.
func shown(w *httptest.ResponseRecorder, ids ...string) string {
	all := string(show(w))
	for _, id := range ids {
		if id != "" {
			all = strings.ReplaceAll(all, id, "<id>")
		}
	}
	return all
}

// checkForeignIDs demands that each id of the other tenant is answered, byte for byte, as one that nothing has, also to an
// admin who does not say for whom the call is.
func (c *cell) checkForeignIDs(key string) {
	c.t.Helper()
	if c.foreign.named != "" {
		c.checkForeign(key, operands{c.foreign.named, c.own.referred}, operands{absent(c.foreign.named), c.own.referred}, http.StatusNotFound)
		c.checkForeign(key, c.foreign, operands{absent(c.foreign.named), c.foreign.referred}, http.StatusNotFound)
	}
	if c.foreign.referred != "" {
		c.checkForeign(key, operands{c.own.named, c.foreign.referred}, operands{c.own.named, absent(c.foreign.referred)}, http.StatusBadRequest)
	}
}

func (c *cell) checkForeign(key string, foreign, none operands, status int) {
	c.t.Helper()
	answer := c.call(key, foreign)
	got, want := shown(answer, foreign.named, foreign.referred), shown(c.call(key, none), none.named, none.referred)
	if got != want {
		c.t.Errorf("a foreign id is answered\n%s\nan absent one\n%s", got, want)
	}
	if c.offered && answer.Code != status {
		c.t.Errorf("a foreign id: status %d, want %d", answer.Code, status)
	}
}

// oddIDs are ids that no object can have.
func oddIDs() []string {
	return []string{"%2e%2e%2f", "..%5c", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%00", strings.Repeat("x", 64<<10)}
}

// checkOddIDs demands that an id which cannot be one is refused as an absent one is.
func (c *cell) checkOddIDs() {
	c.t.Helper()
	for _, odd := range oddIDs() {
		if c.names != none {
			want := c.call("ours", operands{absent(c.own.named), c.own.referred}).Code
			if got := c.call("ours", operands{odd, c.own.referred}); got.Code != want || got.Body.Len() > 1000 {
				c.t.Errorf("id %.40q in the path: %d with %d bytes, want %d", odd, got.Code, got.Body.Len(), want)
			}
		}
		if c.refers != none {
			want := c.call("ours", operands{c.own.named, absent(c.own.referred)}).Code
			if got := c.call("ours", operands{c.own.named, odd}); got.Code != want || got.Body.Len() > 1000 {
				c.t.Errorf("id %.40q elsewhere: %d with %d bytes, want %d", odd, got.Code, got.Body.Len(), want)
			}
		}
	}
}

// badKeys are keys that open nothing.
func badKeys() []string {
	return []string{
		"0urs", "ours-", "our", "revoked", "expired", strings.Repeat("x", 1000), strings.Repeat("x", 64<<10),
		"sk-batchd-" + strings.Repeat("0", 32) + "-" + strings.Repeat("A", 43),
	}
}

// checkCredentials demands that without a good key all answers are the same, whatever the key and whatever it is
// presented for.
func (c *cell) checkCredentials() {
	c.t.Helper()
	tried := []operands{c.own, c.foreign, {absent(c.own.named + "-"), absent(c.own.referred + "-")}}
	for _, odd := range oddIDs() {
		tried = append(tried, operands{odd, odd})
	}
	for _, keys := range [][]string{badKeys(), {""}} {
		want := shown(c.call(keys[0], c.own))
		for _, key := range keys {
			for _, o := range tried {
				w := c.call(key, o)
				if got := shown(w); got != want {
					c.t.Errorf("key %.40q for %.100v is answered\n%.1000s\nwant\n%s", key, o, got, want)
				}
				if w.Code != 401 && (w.Code != 403 || key == "") {
					c.t.Errorf("key %.40q: status %d", key, w.Code)
				}
			}
		}
	}
}

// checkOwnIDs demands that the same call passes with ids of its own: what was refused before was so for their sake.
func (c *cell) checkOwnIDs() {
	c.t.Helper()
	passes := 200
	if c.operator {
		passes = 403
	}
	if w := c.call("ours", c.own); c.offered && w.Code != passes || !c.offered && w.Code != 404 && w.Code != 405 {
		c.t.Errorf("with ids of its own: %d %s", w.Code, w.Body)
	}
}

// view returns everything that both tenants can see and how much is stored, with nothing of the one among what the other
// sees.
func (c *cell) view() string {
	c.t.Helper()
	var all bytes.Buffer
	for _, key := range []string{"ours", "theirs"} {
		for _, list := range []string{"/v1/files", "/v1/batches"} {
			body := c.want(c.send(key, "GET", list, "", ""), 200)
			other := map[string]operands{"ours": c.foreign, "theirs": c.own}[key]
			for _, id := range []string{other.named, other.referred} {
				if id != "" && strings.Contains(body, id) {
					c.t.Errorf("%s of %s shows %s", list, key, id)
				}
			}
			_ = json.Indent(&all, []byte(body), "", " ")
		}
	}
	fmt.Fprintf(&all, "%d objects", c.objects.count())
	return all.String()
}
