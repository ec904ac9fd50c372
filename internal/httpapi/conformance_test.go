package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestGoldenExchangesAreAsTheDescriptionsSay holds every exchange of every golden file against the OpenAPI document
// of its dialect, as the server answers it at openapi.json, and every operation of the documents against the golden
// files: each has to be there with every status that it names, so that neither can drift from the other.
func TestGoldenExchangesAreAsTheDescriptionsSay(t *testing.T) {
	t.Parallel()
	usual, strict := describeMounts(t, false), describeMounts(t, true)
	for name, archive := range goldenFiles(t) {
		contracts, settings := usual, serverSettings(archive)
		if slices.Contains(settings, "strict") {
			contracts = strict
		}
		for i, x := range exchanges(t, archive) {
			c := contracts[mountOf(x.request, slices.Contains(settings, "keys"))]
			if c == nil {
				continue // under no prefix: what operators ask for
			}
			if err := c.check(x); err != nil {
				t.Errorf("%s, exchange %d: %s %s, answered %d: %v", name, i+1, x.request.Method, x.request.URL, x.status, err)
			}
		}
	}
	for path := range usual["/v1"].doc.Paths.Map() {
		usual["/batchd/v1"].doc.Paths.Delete(path) // the same as under /v1
	}
	for _, prefix := range slices.Sorted(maps.Keys(usual)) {
		for _, missing := range usual[prefix].unseen() {
			t.Errorf("%s: no golden file has %s", prefix, missing)
		}
	}
}

// goldenFiles returns all golden files by their names.
func goldenFiles(t *testing.T) map[string]*txtar.Archive {
	t.Helper()
	all := make(map[string]*txtar.Archive)
	err := filepath.WalkDir("testdata/golden", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		all[path], err = txtar.ParseFile(path)
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("golden files: %d, %v", len(all), err)
	}
	return all
}

// serverSettings returns the settings of the server that an archive asks for.
func serverSettings(archive *txtar.Archive) []string {
	if len(archive.Files) == 0 || archive.Files[0].Name != "server" {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(archive.Files[0].Data)), "\n")
}

// exchange is a request of a golden file with its answer.
type exchange struct {
	request *http.Request
	status  int
	header  http.Header
	body    []byte
}

func exchanges(t *testing.T, archive *txtar.Archive) []exchange {
	t.Helper()
	var all []exchange
	var request []byte
	for _, section := range archive.Files {
		switch section.Name {
		case "request":
			request = section.Data
		case "response":
			x := exchange{request: parseRequest(t, request), header: make(http.Header)}
			if err := x.parse(section.Data); err != nil {
				t.Fatal(err)
			}
			all = append(all, x)
		}
	}
	return all
}

// parse reads a response as show writes it.
func (x *exchange) parse(raw []byte) error {
	head, body, _ := bytes.Cut(raw, []byte("\n\n"))
	lines := bufio.NewScanner(bytes.NewReader(head))
	lines.Scan()
	code, _, _ := strings.Cut(lines.Text(), " ")
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		x.header.Set(name, value)
	}
	x.body = body
	var err error
	x.status, err = strconv.Atoi(code)
	return err
}

func (x exchange) succeeded() bool { return x.status < http.StatusBadRequest }

// mountOf returns the prefix whose dialect a request is answered in, "" for none. Where keys are demanded, one that
// carries a dialect's name chooses it, but not under batchd's own prefix.
func mountOf(r *http.Request, keys bool) string {
	chosen := map[string]string{"openai": "/v1", "novita": "/openai/v1", "neosantara": "/neosantara/v1"}
	for _, prefix := range []string{"/v1", "/openai/v1", "/neosantara/v1", "/batchd/v1"} {
		if r.URL.Path != prefix && !strings.HasPrefix(r.URL.Path, prefix+"/") {
			continue
		}
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + r.Header.Get("X-Api-Key")
		if other := chosen[key]; keys && prefix != "/batchd/v1" && other != "" {
			return other
		}
		if prefix != "/batchd/v1" && r.URL.Query().Has("api-version") {
			return chosen["openai"]
		}
		return prefix
	}
	return ""
}

// contract is what a dialect's OpenAPI document says of its exchanges.
type contract struct {
	doc    *openapi3.T
	strict bool
	// seen has the statuses that operations were seen to have, like "listFiles 200".
	seen map[string]bool
}

// describeMounts returns the contracts of a server's mounts by prefix.
func describeMounts(t *testing.T, strict bool) map[string]*contract {
	t.Helper()
	f := newFixture(t, func(o *options) { mountVendors(o, strict) })
	all := make(map[string]*contract)
	for _, prefix := range []string{"/v1", "/openai/v1", "/neosantara/v1", "/batchd/v1"} {
		w := f.do("GET", prefix+"/openapi.json", "")
		c, err := newContract([]byte(f.want(w, http.StatusOK)), strict)
		if err != nil {
			t.Fatalf("%s/openapi.json, strict %v: %v", prefix, strict, err)
		}
		all[prefix] = c
	}
	return all
}

// newContract reads a document, which must be valid OpenAPI 3.1.
func newContract(raw []byte, strict bool) (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	if !doc.IsOpenAPI31OrLater() {
		return nil, errors.New("it is of OpenAPI " + doc.OpenAPI)
	}
	return &contract{doc: doc, strict: strict, seen: make(map[string]bool)}, nil
}

// unseen lists what the document says an operation may answer and no golden file shows. The document itself is no part
// of them, which would have to be written anew with each of its changes, and clients that are too slow and the time that a
// webhook's receiver takes have tests of their own.
func (c *contract) unseen() []string {
	var missing []string
	for path, item := range c.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				if path != "/openapi.json" && status != "default" && status != "408" && operation.OperationID+status != "testWebhook200" && !c.seen[operation.OperationID+" "+status] {
					missing = append(missing, fmt.Sprintf("%s %s answered %s", method, path, status))
				}
			}
		}
	}
	slices.Sort(missing)
	return missing
}

// check returns how an exchange is not as the document says.
func (c *contract) check(x exchange) error {
	route, params := c.route(x.request)
	if route.Operation == nil {
		return c.checkUndocumented(x, methodsOf(route.PathItem))
	}
	if route.Operation.Responses.Status(x.status) == nil {
		return errors.New("the status is not documented")
	}
	c.seen[route.Operation.OperationID+" "+strconv.Itoa(x.status)] = true
	if x.request.Method == http.MethodHead {
		if len(bytes.TrimSpace(x.body)) > 0 {
			return errors.New("the answer to HEAD has a body")
		}
		return nil
	}
	asked := &openapi3filter.RequestValidationInput{
		Request: x.request, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true},
	}
	if err := checkAnswer(asked, x); err != nil || !x.succeeded() {
		return err // what is wrong with a request that was refused is what its answer says
	}
	if body := route.Operation.RequestBody; body != nil && body.Value.Content["application/json"] != nil {
		// The server does not look at it, and clients send all sorts.
		x.request.Header.Set("Content-Type", "application/json")
	}
	return openapi3filter.ValidateRequest(context.Background(), asked)
}

// route returns what the document has for the method and the path of a request: no operation where it lacks the
// method, and an empty item where it lacks the path.
func (c *contract) route(r *http.Request) (*routers.Route, map[string]string) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	// The document's paths begin below the prefix.
	_, path, _ := strings.Cut(r.URL.Path, "/v1")
	for template, item := range c.doc.Paths.Map() {
		if params, ok := matchPath(template, path); ok {
			return &routers.Route{Spec: c.doc, Path: template, PathItem: item, Method: method, Operation: item.GetOperation(method)}, params
		}
	}
	return &routers.Route{Spec: c.doc, PathItem: &openapi3.PathItem{}}, nil
}

// matchPath returns what stands in a path for the parameters of a template, and whether it is a path of the template. The names
// of models may have slashes, which OpenAPI has no way to say.
func matchPath(template, path string) (map[string]string, bool) {
	if models, rest, ok := strings.Cut(template, "{"); ok && models == "/models/" && len(path) > len(models) && strings.HasPrefix(path, models) {
		return map[string]string{strings.TrimSuffix(rest, "}"): path[len(models):]}, true
	}
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	params := make(map[string]string)
	for i, segment := range want {
		name, isParam := strings.CutPrefix(segment, "{")
		switch {
		case len(got) != len(want):
			return nil, false
		case isParam && got[i] != "":
			params[strings.TrimSuffix(name, "}")] = got[i]
		case segment != got[i]:
			return nil, false
		}
	}
	return params, true
}

// methodsOf returns the methods that a server answers where the document has item.
func methodsOf(item *openapi3.PathItem) []string {
	methods := slices.Collect(maps.Keys(item.Operations()))
	if item.Get != nil {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return methods
}

// checkUndocumented checks the answer to a request that is none of the document's operations: it is refused, naming
// the methods that the document has for its path, or as unknown where it has none.
func (c *contract) checkUndocumented(x exchange, methods []string) error {
	want := http.StatusNotFound
	if len(methods) > 0 {
		want = http.StatusMethodNotAllowed
	}
	if x.status != want {
		return fmt.Errorf("the operation is not documented, so that %d is expected", want)
	}
	if got, want := x.header.Get("Allow"), strings.Join(methods, ", "); got != want {
		return fmt.Errorf("allowed are %q, documented %q", got, want)
	}
	if c.strict && want == http.StatusNotFound && strings.HasPrefix(x.header.Get("Content-Type"), "text/plain") {
		return nil // a vendor may have no envelope for paths that it does not know
	}
	var value any
	if err := json.Unmarshal(x.body, &value); err != nil {
		return err
	}
	return c.doc.Components.Schemas["Error"].Value.VisitJSON(value, openapi3.EnableJSONSchema2020())
}

// checkAnswer holds the headers and the body of an answer against the document.
func checkAnswer(asked *openapi3filter.RequestValidationInput, x exchange) error {
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: asked, Status: x.status, Header: x.header, Body: io.NopCloser(bytes.NewReader(x.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
}
