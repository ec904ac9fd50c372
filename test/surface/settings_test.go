package surface

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"batchd/internal/config"
	"batchd/internal/dialect/vendors"
)

// What a setting takes is found by trying: the first of these that it does not refuse is its kind. Whether the one of a
// text is a list shows in what it sets.
var tries = []struct{ kind, inEnvironment, inFile string }{
	{"text", "zz", "zz"},
	{"bool", "true", "true"},
	{"size", "7KiB", "7KiB"},
	{"duration", "7h", "7h"},
	{"number", "7", "7"},
	{"pairs", "a=b", "{a: b}"},
}

// settings lists every setting: its key, its variable, its kind and its default; then the defaults that strictness
// changes, and what an entry of upstreams takes.
func settings(t *testing.T) list {
	t.Helper()
	found := list{}
	words := configWords(t)
	known := kinds(t)
	for name, s := range known {
		keys := keysOf(t, name, s, words)
		if len(keys) == 0 {
			found.add(fmt.Sprintf("%s: %s, default %s (environment only)", name, s.kind, s.byDefault))
		}
		for _, key := range keys {
			found.add(fmt.Sprintf("%s: %s, default %s", key, s.kind, s.byDefault))
		}
	}
	for name, strict := range kindsBeside(t, "BATCHD_OPENAI_STRICT=true") {
		if strict.byDefault != known[name].byDefault && name != "BATCHD_OPENAI_STRICT" {
			found.add(fmt.Sprintf("with openai.strict %s: default %s", name, strict.byDefault))
		}
	}
	for _, word := range words {
		for _, try := range tries {
			text := "upstreams:\n  - " + word + ": " + try.inFile + "\n"
			if word != "url" {
				text += "    url: http://localhost\n"
			}
			if _, err := loadFile(t, text); err == nil {
				found.add(fmt.Sprintf("upstreams[].%s: %s", word, try.kind))
				break
			}
		}
	}
	return found
}

// setting is what is found out about one.
type setting struct{ kind, inFile, byDefault string }

// kinds maps the variable of every setting to what it is.
func kinds(t *testing.T) map[string]setting { return kindsBeside(t) }

// kindsBeside is kinds with other variables set beside.
func kindsBeside(t *testing.T, others ...string) map[string]setting {
	t.Helper()
	found := map[string]setting{}
	for _, name := range candidates(t) {
		beside := others
		if name != "BATCHD_UPSTREAMS" { // some settings do nothing without an upstream
			beside = append(slices.Clip(others), "BATCHD_UPSTREAMS=http://localhost")
		}
		if s, ok := tryVariable(t, name, beside); ok {
			found[name] = s
		}
	}
	return found
}

// tryVariable finds out what a variable sets; false for nothing.
func tryVariable(t *testing.T, name string, beside []string) (setting, bool) {
	t.Helper()
	before, err := config.Load(config.Source{Environ: beside, NoCalls: true})
	if err != nil {
		t.Fatal(err)
	}
	refused := false
	for _, try := range tries {
		after, err := config.Load(config.Source{Environ: append([]string{name + "=" + try.inEnvironment}, beside...), NoCalls: true})
		if err != nil {
			refused = true
			continue
		}
		was, differs := difference(reflect.ValueOf(before), reflect.ValueOf(after))
		if !differs && !refused {
			return setting{}, false // what is no setting is taken for somebody else's variable
		}
		switch {
		case try.kind == "bool":
			was = fmt.Sprint(!differs) // it may set more than its own part
		case !differs:
			was = try.inEnvironment // it is the default already
		}
		s := setting{try.kind, try.inFile, was}
		if try.kind == "text" && strings.HasPrefix(was, "[") {
			s.kind, s.inFile = "list", "[zz]"
		}
		return s, true
	}
	t.Errorf("%s refuses every value", name)
	return setting{}, false
}

// difference returns how the first part in which two settings differ is written in the first of them.
func difference(a, b reflect.Value) (string, bool) {
	if a.Kind() == reflect.Struct {
		for i := range a.NumField() {
			if was, differs := difference(a.Field(i), b.Field(i)); differs {
				return was, true
			}
		}
		return "", false
	}
	if reflect.DeepEqual(a.Interface(), b.Interface()) {
		return "", false
	}
	if a.Kind() == reflect.Map && b.Len() == a.Len() && a.Len() > 0 {
		for _, key := range a.MapKeys() {
			if other := b.MapIndex(key); other.IsValid() {
				if was, differs := difference(a.MapIndex(key), other); differs {
					return was, true
				}
			}
		}
	}
	if a.Kind() == reflect.Slice && a.Len() > 0 && a.Len() == b.Len() && a.Index(0).Kind() == reflect.Struct {
		return difference(a.Index(0), b.Index(0))
	}
	if a.Kind() == reflect.String {
		return fmt.Sprintf("%q", a.String()), true
	}
	return fmt.Sprint(a.Interface()), true
}

// keysOf returns the keys that set in a file what a variable sets.
func keysOf(t *testing.T, name string, s setting, words []string) []string {
	t.Helper()
	var keys []string
	for _, key := range keysBehind(name, words) {
		text := key + ": " + s.inFile + "\n"
		if section, inside, ok := strings.Cut(key, "."); ok {
			text = section + ":\n  " + inside + ": " + s.inFile + "\n"
		}
		if _, err := loadFile(t, text); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// keysBehind returns the keys of which a variable may be.
func keysBehind(name string, words []string) []string {
	var keys []string
	for _, w := range words {
		if variableOf(w) == name {
			keys = append(keys, w)
		}
		for _, v := range words {
			if variableOf(w, v) == name {
				keys = append(keys, w+"."+v)
			}
		}
	}
	return keys
}

func variableOf(words ...string) string {
	return "BATCHD_" + strings.ToUpper(strings.Join(words, "_"))
}

func loadFile(t *testing.T, text string) (config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "batchd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(config.Source{File: path, NoCalls: true})
}

var (
	// plainKey is a key by itself, tagKey one in the tag of a field.
	plainKey = regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)*$`)
	tagKey   = regexp.MustCompile(`[a-z]+:"([a-z_]+)`)
)

// configWords lists the words that keys may be made of: whatever stands in the source of the settings and looks like one,
// and what vendors call their switches.
func configWords(t *testing.T) []string {
	t.Helper()
	words := list{}
	literals(product(t, "internal/config"), func(text string) {
		if plainKey.MatchString(text) {
			words.add(strings.Split(text, ".")...)
		}
		for _, m := range tagKey.FindAllStringSubmatch(text, -1) {
			words.add(m[1])
		}
	})
	for _, vendor := range vendors.All() {
		words.add(vendor.Name)
		for _, s := range vendor.Switches {
			words.add(s.Key)
		}
	}
	return slices.Sorted(maps.Keys(words))
}

// candidates lists the variables that may be those of settings.
func candidates(t *testing.T) []string {
	t.Helper()
	names := list{}
	words := configWords(t)
	for _, w := range words {
		names.add(variableOf(w))
		for _, v := range words {
			names.add(variableOf(w, v))
		}
	}
	literals(product(t, "internal/config"), func(text string) {
		if strings.HasPrefix(text, "BATCHD_") && variable.MatchString(text) {
			names.add(text)
		}
	})
	return slices.Sorted(maps.Keys(names))
}
