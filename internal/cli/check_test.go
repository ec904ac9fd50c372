package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/datadir"
	"batchd/internal/journal"
	"batchd/internal/vfs"
)

var update = flag.Bool("update", false, "write the outputs under testdata again")

// lostTime makes a data directory whose database has lost a batch: its plan and its journal are there, and its segment.
func lostTime(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if code := Main(Process{Args: []string{"keys", "create", "--tenant", "t", "--data-dir", dir}, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}); code != 0 {
		t.Fatalf("keys create ends with %d", code)
	}
	lease := batch.LeaseID{1, 2, 3}
	for _, name := range []string{
		"blobs/objects/plans/2/batch_x-" + lease.String() + "@", "blobs/objects/segments/2/batch_x-1-" + lease.String() + "@",
		"blobs/objects/files/0123456789abcdef0123456789abcdef@", "lost/of-old", "journals/y.journal",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("bytes"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	fsys, err := vfs.NewOS(dir, vfs.OSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name := "journals/batch_x-0-" + lease.String() + ".journal"
	j, err := journal.Create(fsys, name, journal.Header{Unit: batch.UnitID{Batch: "batch_x"}, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	for line := range uint32(2) {
		err = errors.Join(err, j.Append(journal.Record{Line: line + 1, Kind: batch.KindOutput, Text: batch.MemoryBody("{}")}))
	}
	if err := errors.Join(err, j.Close(), datadir.WriteSequence(dir, 99)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// numbers are those of the database's changes, which a new version may make another number of.
var numbers = regexp.MustCompile(`at number \d+`)

// TestWhatCheckAndRepairPrint runs them on a directory whose database has lost time and compares what they print with the
// files under testdata, which are written again by -update.
func TestWhatCheckAndRepairPrint(t *testing.T) {
	t.Parallel()
	dir := lostTime(t)
	for _, c := range []struct {
		golden string
		args   string
		code   int
	}{
		{"check.txt", "check", 1},
		{"check.json", "check --json", 1},
		{"repair.txt", "repair", 1},
		{"repair-accept-older.txt", "repair --accept-older", 1},
		{"repair-yes.txt", "repair --yes", 0},
		{"repair-again.txt", "repair", 0},
		{"check-after.txt", "check", 1}, // the journal without a header, which the next start sets aside
	} {
		var out, problems bytes.Buffer
		args := strings.Fields(c.args)
		args = append(args[:1:1], append([]string{dir}, args[1:]...)...)
		if code := Main(Process{Args: args, Stdout: &out, Stderr: &problems}); code != c.code || problems.Len() > 0 {
			t.Errorf("%s ends with %d, want %d: %s", c.args, code, c.code, &problems)
		}
		got := numbers.ReplaceAllString(strings.ReplaceAll(out.String(), dir, "DIR"), "at number N")
		path := filepath.Join("testdata", c.golden)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.args, diff)
		}
	}
}

func TestACheckThatCannotWriteEnds(t *testing.T) {
	t.Parallel()
	full := fmt.Errorf("no space")
	for _, args := range [][]string{{"check", lostTime(t)}, {"check", lostTime(t), "--json"}, {"repair", lostTime(t)}} {
		var problems bytes.Buffer
		if code := Main(Process{Args: args, Stdout: refusing{full}, Stderr: &problems}); code != 1 || !strings.Contains(problems.String(), full.Error()) {
			t.Errorf("%v ends with %d: %s", args, code, &problems)
		}
	}
}

// refusing is a writer that takes nothing.
type refusing struct{ err error }

// Write implements io.Writer.
func (r refusing) Write([]byte) (int, error) { return 0, r.err }
