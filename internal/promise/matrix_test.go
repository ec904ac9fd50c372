//go:build !failpoint

package promise

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The matrix of damage: the server is killed at a random moment of a batch, something happens to one file of its data
// directory, and it is started again. Whatever that was, it must not pass in silence: the results are right, or what is
// wrong is said as docs/adr/0007-damage.md has it, or the start is refused, `batchd check` explains why, and `batchd
// repair` lets it start. No result that was paid for is deleted.

// The variables that ask for other than matrixTrials trials, and for those of an earlier run.
const (
	damagesVariable = "BATCHD_PROOF_DAMAGES"
	seedVariable    = "BATCHD_DAMAGE_SEED"
	matrixTrials    = 200
)

const (
	matrixConcurrency = 8
	// matrixEnd is how long a batch may take that ought to take less than a second.
	matrixEnd = 45 * time.Second
)

// matrixInput is the batch that is killed: three units, since a unit has one model, of which some are sealed early.
var matrixInput = input{
	lines: 240,
	model: func(n int) string { return []string{"m", "m", "m", "m2", "m3"}[n%5] },
	bad:   every(40),
}

// harm is one thing that happens to a file.
type harm int

const (
	flipped harm = iota
	cut
	lost
	older
)

func (h harm) String() string { return [...]string{"flip", "cut", "loss", "older copy"}[h] }

// kinds are the files of a data directory, by their paths in it.
var kinds = []struct {
	name string
	path *regexp.Regexp
}{
	{"database", regexp.MustCompile(`^batchd\.db$`)},
	{"log", regexp.MustCompile(`^batchd\.db-wal$`)},
	{"index", regexp.MustCompile(`^batchd\.db-shm$`)},
	{"sequence", regexp.MustCompile(`^batchd\.seq$`)},
	{"checksum", regexp.MustCompile(`^batchd\.sum$`)},
	{"lock", regexp.MustCompile(`^lock$`)},
	{"upload", regexp.MustCompile(`^blobs/objects/files/`)},
	{"plan", regexp.MustCompile(`^blobs/objects/plans/`)},
	{"segment", regexp.MustCompile(`^blobs/objects/segments/`)},
	{"manifest", regexp.MustCompile(`^blobs/objects/manifests/`)},
	{"journal", regexp.MustCompile(`^journals/`)},
	{"other", regexp.MustCompile(``)},
}

// kindOf returns what kind of file a path in a data directory is.
func kindOf(path string) string {
	for _, k := range kinds {
		if k.path.MatchString(path) {
			return k.name
		}
	}
	return ""
}

// world is a data directory with batches that have ended, from which each trial begins.
type world struct {
	dir   string
	files map[string]bool
	// ended is what was downloaded of the batches, and in their inputs.
	ended []audited
	in    []input
}

// newWorld runs a batch of so many models that its output needs a manifest of its own, and one of two files.
func newWorld(t *testing.T) *world {
	t.Helper()
	n := newNode(t, newEngine(t, steady(0)), 32, "BATCHD_ALLOW_MIXED_MODELS=true")
	n.start()
	w := &world{dir: n.dir, in: []input{
		{lines: 1000, model: func(n int) string { return fmt.Sprintf("model-%04d", n) }},
		{lines: 100, bad: every(9)},
	}}
	for _, in := range w.in {
		a, err := n.finished(n.run(in, "24h"), in)
		if err != nil {
			t.Fatal(err)
		}
		w.ended = append(w.ended, a)
	}
	n.stop()
	w.files = make(map[string]bool)
	for _, path := range filesIn(t, n.dir) {
		w.files[path] = true
	}
	return w
}

// copyTo makes a data directory like this one. Blobs are never written again, so that links do for them.
func (w *world) copyTo(t *testing.T, dir string) {
	t.Helper()
	for path := range w.files {
		to := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasPrefix(path, "blobs/") {
			err = os.Link(filepath.Join(w.dir, path), to)
		} else {
			var content []byte
			if content, err = os.ReadFile(filepath.Join(w.dir, path)); err == nil {
				err = os.WriteFile(to, content, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// filesIn lists the regular files below a directory, by their paths in it.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a running server has just removed it
		}
		if err == nil && entry.Type().IsRegular() {
			relative, _ := filepath.Rel(dir, path) // it is below
			found = append(found, filepath.ToSlash(relative))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDamageMatrix strikes each kind of file in each way, at random moments and places.
func TestDamageMatrix(t *testing.T) {
	trials, seed := matrixTrials, rand.Uint64()
	if n, err := strconv.Atoi(os.Getenv(damagesVariable)); err == nil {
		trials = n
	}
	if n, err := strconv.ParseUint(os.Getenv(seedVariable), 10, 64); err == nil {
		seed = n
	}
	t.Logf("%s=%d", seedVariable, seed)
	w := newWorld(t)
	var mu sync.Mutex
	tally := make(map[outcome]int)
	t.Run("trials", func(t *testing.T) {
		for i := range trials {
			harm, kind := harm(i%4), kinds[i/4%len(kinds)].name
			t.Run(fmt.Sprintf("%04d %s of %s", i, harm, kind), func(t *testing.T) {
				t.Parallel()
				d := &trial{t: t, world: w, rand: rand.New(rand.NewPCG(seed, uint64(i))), harm: harm, kind: kind}
				what := d.run()
				mu.Lock()
				defer mu.Unlock()
				tally[outcome{d.kind, d.harm, what}]++
			})
		}
	})
	var rows strings.Builder
	for _, o := range slices.SortedFunc(maps.Keys(tally), compareOutcomes) {
		fmt.Fprintf(&rows, "| %s | %s | %s | %d |\n", o.kind, o.harm, o.what, tally[o])
	}
	t.Logf("%d trials:\n%s", trials, rows.String())
	if path := os.Getenv(reportVariable); path != "" && !t.Failed() {
		writeHarms(t, path, trials, seed, rows.String())
	}
}

// outcome is a row of the table: how harm to a kind of file ended.
type outcome struct {
	kind string
	harm harm
	what string
}

func compareOutcomes(a, b outcome) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.harm, b.harm), cmp.Compare(a.what, b.what))
}

// writeHarms puts the table into its section of the page.
func writeHarms(t *testing.T, path string, trials int, seed uint64, rows string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	rest := behind(text, mistakes)
	text = strings.TrimSuffix(text, rest)
	text = strings.TrimSuffix(text, behind(text, harms)) + harms
	text += fmt.Sprintf("\nWritten by `make damage` on %s: %d trials, seed %d. Each kills the server at a random moment of a batch, harms one file\n"+
		"of its data directory (an older copy is of some moments earlier) and starts it again. *Refused* is a start that names the file,\n"+
		"of which `batchd check` says what is lost; *mended*: after `batchd repair` it started. A *right* batch has one result for each\n"+
		"line, with the very bytes that the upstream sent. No answer that was given before the kill was in no result and no file, but\n"+
		"for those in the harmed file and those in flight. What is *paid twice* was in a journal that was cut, gone or an older one,\n"+
		"which nobody can tell from a crash some moments earlier. What *stays* is said in the log, with the file.\n\n"+
		"| file | harm | what became of it | trials |\n| --- | --- | --- | ---: |\n%s",
		time.Now().UTC().Format("2 January 2006"), trials, seed, rows)
	if err := os.WriteFile(path, []byte(text+rest), 0o644); err != nil {
		t.Fatal(err)
	}
}
