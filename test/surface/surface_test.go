package surface

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the lists under testdata again")

// list is a set of lines.
type list map[string]bool

// add adds lines.
func (l list) add(lines ...string) {
	for _, line := range lines {
		l[line] = true
	}
}

// text is the list as its file holds it.
func (l list) text() string {
	return strings.Join(slices.Sorted(maps.Keys(l)), "\n") + "\n"
}

// compare compares a list with its file.
func (l list) compare(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(l.text()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(l.text(), "\n")); diff != "" {
		t.Errorf("%s is another list than what there is (-list +found); if that is meant, run go test ./test/surface -update:\n%s", path, diff)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	settings(t).compare(t, "settings")
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	environment(t).compare(t, "environment")
}

func TestFlags(t *testing.T) {
	t.Parallel()
	flags(t).compare(t, "flags")
}

func TestMembersOfGoldenAnswers(t *testing.T) {
	t.Parallel()
	goldenMembers(t).compare(t, "members-api")
}

// TestANodeAtWork has every list that takes a node that runs.
func TestANodeAtWork(t *testing.T) {
	t.Parallel()
	n := work(t)
	for name, found := range map[string]list{
		"metrics":     withMetricsInSource(t, n.metrics),
		"metrics-sim": n.engineMetrics,
		"log-keys":    withKeysInSource(t, n.logKeys),
		"routes":      n.routes,
		"routes-sim":  n.engineRoutes,
		"openapi":     n.described,
		"members-cli": n.printed,
		"members-own": n.members,
		"disk":        withNamesInSource(t, n.disk),
		"schema":      n.schema,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found.compare(t, name)
		})
	}
}
