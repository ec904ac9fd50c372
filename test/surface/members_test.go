package surface

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"batchd/test/harness"
)

// members adds a line for each member of a JSON value. What says by a member "object" what it is stands for itself, wherever
// it is found; all else has its place below the name that is given.
func (l list) members(name, place string, value any) {
	switch value := value.(type) {
	case map[string]any:
		if kind, ok := value["object"].(string); ok {
			place = kind
		}
		for member, inside := range value {
			if ownNames[place[strings.LastIndexAny(place, ".")+1:]] {
				member = "*"
			}
			at := place + "." + member
			l.add(name + " " + at)
			l.members(name, at, inside)
		}
	case []any:
		for _, element := range value {
			l.members(name, place+"[]", element)
		}
	}
}

// ownNames are members whose own members are named by users or by the machine at hand.
var ownNames = map[string]bool{"metadata": true, "results": true, "models": true, "body": true}

// document reads a JSON text, nil if it is none.
func document(text []byte) any {
	var value any
	if json.Unmarshal(text, &value) != nil {
		return nil
	}
	return value
}

// goldenMembers lists the members of every object that the golden exchanges show, by prefix: /v1 is OpenAI's API, or that of
// the host; the others are of one vendor each.
func goldenMembers(t *testing.T) list {
	t.Helper()
	found := list{}
	root := filepath.Join(harness.Root(t), "internal", "httpapi", "testdata", "golden")
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".txtar" {
			return err
		}
		archive, err := txtar.ParseFile(path)
		if err != nil {
			return err
		}
		prefix := ""
		for _, step := range archive.Files {
			switch step.Name {
			case "request":
				prefix = prefixOf(string(step.Data))
			case "response":
				head, body, _ := strings.Cut(string(step.Data), "\n\n")
				if strings.Contains(head, "\nContent-Type: application/json") {
					found.members(prefix, "answer", document([]byte(body)))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 100 {
		t.Errorf("found %d members only in %s", len(found), root)
	}
	return found
}

var ownPrefix = regexp.MustCompile(`^[A-Z]+ (?:https?://[^/]+)?((?:/[a-z]+)?/v1)/`)

// prefixOf is where the API begins that a request goes to.
func prefixOf(request string) string {
	if m := ownPrefix.FindStringSubmatch(request); m != nil {
		return m[1]
	}
	return "elsewhere"
}

// described adds the operations with their parameters and the members of the schemas of an OpenAPI description.
func (l list) described(prefix string, description any) {
	root, _ := description.(map[string]any)
	paths, _ := root["paths"].(map[string]any)
	for path, operations := range paths {
		byMethod, _ := operations.(map[string]any)
		for method, operation := range byMethod {
			details, ok := operation.(map[string]any)
			if !ok {
				continue
			}
			at := prefix + " " + strings.ToUpper(method) + " " + path
			l.add(at)
			parameters, _ := details["parameters"].([]any)
			for _, p := range parameters {
				parameter, _ := p.(map[string]any)
				if parameter["name"] != nil {
					l.add(fmt.Sprintf("%s, %v %v", at, parameter["in"], parameter["name"]))
				}
			}
		}
	}
	components, _ := root["components"].(map[string]any)
	schemas, _ := components["schemas"].(map[string]any)
	for name, schema := range schemas {
		l.schema(prefix+" "+name, schema)
	}
}

// schema adds a line for each member that a schema names.
func (l list) schema(place string, schema any) {
	s, ok := schema.(map[string]any)
	if !ok {
		return
	}
	properties, _ := s["properties"].(map[string]any)
	for member, inside := range properties {
		l.add(place + "." + member)
		l.schema(place+"."+member, inside)
	}
	if s["items"] != nil {
		l.schema(place+"[]", s["items"])
	}
	for _, several := range []string{"allOf", "anyOf", "oneOf"} {
		parts, _ := s[several].([]any)
		for _, part := range parts {
			l.schema(place, part)
		}
	}
}

// path is how the path of a route stands in the source.
var path = regexp.MustCompile(`^(?:[A-Z]+ )?(/[a-z0-9_{}./-]*)$`)

// routesAt lists what an address serves, below each prefix: of every text in the source that may be a path, whether there is
// something, and which methods it takes.
func routesAt(t *testing.T, base string, prefixes []string) list {
	t.Helper()
	paths := list{"": true}
	literals(product(t, "internal"), func(text string) {
		if m := path.FindStringSubmatch(text); m != nil {
			paths.add(strings.TrimSuffix(m[1], "/"))
		}
	})
	found := list{}
	for p := range paths {
		for _, prefix := range append(prefixes, "") {
			target := regexp.MustCompile(`\{[^/]*\}`).ReplaceAllString(prefix+p, "x")
			if methods := methodsOf(t, base+target); methods != "" {
				found.add(prefix + p + ": " + methods)
			}
		}
	}
	return found
}

// methodsOf asks by a method that nothing takes: a path that is there says what it takes instead.
func methodsOf(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "BREW", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return ""
	case answer.Header.Get("Allow") != "":
		return answer.Header.Get("Allow")
	default:
		return answer.Status
	}
}
