//go:build !failpoint

package promise

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"batchd/test/harness"
)

// trial is one kill, one harm, and what becomes of it.
type trial struct {
	t     *testing.T
	world *world
	rand  *rand.Rand
	harm  harm
	kind  string

	node   *node
	input  string // the id of the file of the batch that is killed
	batch  string
	victim string // the path of the file that was harmed
	size   int    // its length since then
	// held are the lines whose answers the victim held before.
	held map[string]bool
	// mended is what check and repair have said, "" if they were not needed.
	mended string
}

// run makes the trial and says in a few words how it ended.
func (d *trial) run() string {
	e := newEngine(d.t, func(line string, _ int) reply {
		return reply{after: time.Duration(2+matrixInput.number(line)%16) * time.Millisecond}
	})
	d.node = newNode(d.t, e, matrixConcurrency, "BATCHD_ALLOW_MIXED_MODELS=true")
	d.world.copyTo(d.t, d.node.dir)
	d.node.start()
	uploaded, err := d.node.upload("input.jsonl", matrixInput.write)
	if err != nil {
		d.t.Fatal(err)
	}
	d.input = uploaded.ID
	created, err := d.node.create(uploaded.ID, "24h")
	if err != nil {
		d.t.Fatal(err)
	}
	d.batch = created.ID
	d.pause(250 * time.Millisecond)
	before := d.save()
	if (d.kind == "database" || d.kind == "log") && d.harm == older {
		// A command beside the server folds the log into the database, so that the copies are of another age.
		if said, code := d.command("keys", "list", "--data-dir", d.node.dir); code != 0 {
			d.t.Fatalf("keys list: exit code %d: %s", code, said)
		}
	}
	d.pause(250 * time.Millisecond)
	d.node.kill()
	d.strike(before)
	err = d.node.tryStart()
	if err == nil {
		return d.goOn()
	}
	if d.node.running() != nil {
		d.t.Fatal(err) // it neither starts nor refuses
	}
	return d.refused(err.Error())
}

func (d *trial) pause(most time.Duration) {
	pause(time.Millisecond + time.Duration(d.rand.Int64N(int64(most))))
}

// save copies what the server is working on, as a copy of a running directory does.
func (d *trial) save() map[string][]byte {
	saved := make(map[string][]byte)
	for _, path := range filesIn(d.t, d.node.dir) {
		if d.world.files[path] && strings.HasPrefix(path, "blobs/") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(d.node.dir, path))
		if err == nil { // else it has just been removed
			saved[path] = content
		}
	}
	return saved
}

// strike picks a file of the kind and harms it. Where there is none, or the harm would change nothing, it takes others.
func (d *trial) strike(before map[string][]byte) {
	for {
		var ours, old []string
		for _, path := range filesIn(d.t, d.node.dir) {
			switch {
			case kindOf(path) != d.kind:
			case d.world.files[path] && strings.HasPrefix(path, "blobs/"):
				old = append(old, path)
			default:
				ours = append(ours, path)
			}
		}
		from := ours
		if len(old) > 0 && (len(ours) == 0 || d.rand.IntN(3) == 0) {
			from = old
		}
		if len(from) > 0 && d.hit(from[d.rand.IntN(len(from))], before) {
			return
		}
		d.kind, d.harm = kinds[d.rand.IntN(len(kinds))].name, harm(d.rand.IntN(4))
	}
}

// hit harms a file, by a new one of its name: others may share the old one. It reports whether that changed anything.
func (d *trial) hit(path string, before map[string][]byte) bool {
	full := filepath.Join(d.node.dir, path)
	content, err := os.ReadFile(full)
	if err != nil {
		d.t.Fatal(err)
	}
	after := bytes.Clone(content)
	place := ""
	switch {
	case d.harm == lost:
		after = nil
	case d.harm == older:
		saved, ok := before[path]
		if !ok {
			return false
		}
		after = saved
	case len(content) == 0:
		return false
	case d.harm == flipped:
		at, bit := d.rand.IntN(len(after)), d.rand.IntN(8)
		after[at] ^= 1 << bit
		place = fmt.Sprintf(" at bit %d of byte %d", bit, at)
	case d.harm == cut:
		after = after[:d.rand.IntN(len(after))]
	}
	if d.harm != lost && bytes.Equal(after, content) {
		return false
	}
	d.t.Logf("%s of %s%s: %d bytes, then %d", d.harm, path, place, len(content), len(after))
	if err := os.Remove(full); err != nil {
		d.t.Fatal(err)
	}
	if d.harm != lost {
		if err := os.WriteFile(full, after, 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	d.victim, d.size, d.held = path, len(after), map[string]bool{}
	if !d.world.files[path] {
		d.held = answersIn(content)
	}
	return true
}

// answer finds an answer of the engine in whatever file.
var answer = regexp.MustCompile(`(?:chatcmpl-|no answer to )((?:line|bad)-\d{7})"`)

// answersIn returns the lines whose answers stand in a text.
func answersIn(content []byte) map[string]bool {
	found := make(map[string]bool)
	for _, m := range answer.FindAllSubmatch(content, -1) {
		found[string(m[1])] = true
	}
	return found
}

// command runs the binary and returns what it printed, and its exit code.
func (d *trial) command(args ...string) (string, int) {
	d.t.Helper()
	c := exec.Command(harness.Binary(d.t), args...)
	said, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	return string(said), c.ProcessState.ExitCode()
}

// refused judges a start that was refused: the refusal names a file, check explains it, repair mends it, and then the
// batches end. Only a database that is damaged itself cannot be mended.
func (d *trial) refused(said string) string {
	if !strings.Contains(said, d.node.dir) {
		d.t.Errorf("the refusal names no file: %s", said)
	}
	switch d.kind {
	case "index", "lock", "sequence", "checksum", "upload", "other":
		d.t.Errorf("harm to this file must not keep the server from starting: %s", said)
	}
	explained, code := d.command("check", d.node.dir)
	if code != 1 {
		d.t.Errorf("check of a directory that is refused: exit code %d: %s", code, explained)
	}
	if d.kind == "database" && !strings.Contains(said, "batchd repair") {
		return "refused"
	}
	mended := ""
	for _, args := range [][]string{{"repair", d.node.dir, "--yes"}, {"repair", d.node.dir, "--yes", "--accept-older"}} {
		said, code = d.command(args...)
		if mended += said; code == 0 && d.node.tryStart() == nil {
			d.mended = explained + mended
			return "refused, mended, " + d.goOn()
		}
	}
	d.t.Errorf("repair has not mended it: exit code %d: %s\ncheck: %s", code, mended, explained)
	return "refused"
}

// goOn judges a server that started: the batches end, with the results that they ought to have.
func (d *trial) goOn() string {
	told := d.told()
	if _, err := d.node.batch(d.batch); statusOf(err) == http.StatusNotFound && d.mended != "" {
		// One that was just created may have left nothing that names it: then only the sequence file tells that changes are lost.
		for _, path := range filesIn(d.t, d.node.dir) {
			if strings.Contains(path, d.batch) && !strings.Contains(d.mended, d.batch) {
				d.t.Errorf("batch %s is lost, %s is of it, and neither check nor repair names it: %s", d.batch, path, d.mended)
			}
		}
		d.paid(nil)
		return "batch lost, and told"
	}
	if d.kind == "sequence" && d.harm != older && told == "" {
		d.t.Error("nothing was said of the sequence file")
	}
	if d.kind == "checksum" && (d.harm == flipped || d.harm == cut && d.size > 0) && told == "" {
		d.t.Error("nothing was said of the checksum")
	}
	j, ended := d.await()
	if !ended {
		told = d.told()
		if !d.blames(told) {
			d.t.Errorf("batch %s stays %s with %+v, and nothing says why", d.batch, j.Status, j.RequestCounts)
		}
		d.t.Logf("batch %s stays %s, and the server says:\n%s", d.batch, j.Status, told)
		return "stays " + j.Status
	}
	what := "right"
	answers := map[string]bool{}
	switch a, err := d.node.audit(d.batch, matrixInput); {
	case d.kind == "upload" && j.Status == "failed" && j.Errors != nil && len(j.Errors.Data) == 1 && j.Errors.Data[0].Code == "input_unreadable":
		what = "input_unreadable"
	case err != nil && d.unreadable(err):
		what = "download refused"
		maps.Copy(answers, d.held)
	case err != nil:
		d.t.Error(err)
	default:
		if j.Status != "completed" {
			d.t.Errorf("batch %s is %s", d.batch, j.Status)
		}
		maps.Copy(answers, answersIn(a.output))
		maps.Copy(answers, answersIn(a.errors))
		if a.codes["input_unreadable"] > 0 {
			what = "lines unreadable"
			if d.kind != "upload" {
				d.t.Errorf("%d lines are unreadable", a.codes["input_unreadable"])
			}
		}
	}
	if repeated := d.paid(answers); repeated > 0 && what == "right" {
		what = "right, some paid twice"
	}
	if old := d.endedBefore(); what == "right" && old != "" {
		what = old
	}
	if content, err := d.node.content(d.input); err != nil && d.kind != "upload" || err == nil && string(content) != matrixInput.text() {
		d.t.Errorf("the input is %d bytes, %v", len(content), err)
	}
	return what
}

// await waits for the end of the batch that was killed. One that cannot end is given up once its reason is told.
func (d *trial) await() (job, bool) {
	deadline := time.Now().Add(matrixEnd)
	for {
		j, err := d.node.batch(d.batch)
		if err != nil {
			d.t.Fatalf("batch %s: %v", d.batch, err)
		}
		if j.terminal() {
			return j, true
		}
		if time.Now().After(deadline) || d.blames(d.told()) && time.Until(deadline) < matrixEnd-5*time.Second {
			return j, false
		}
		pause(10 * time.Millisecond)
	}
}

// told returns the warnings and errors that the running process has printed.
func (d *trial) told() string {
	var told strings.Builder
	for line := range strings.Lines(d.node.running().text()) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			told.WriteString(line)
		}
	}
	return told.String()
}

// blames reports whether something that was told is about the victim.
func (d *trial) blames(told string) bool {
	name := strings.TrimSuffix(filepath.Base(d.victim), filepath.Ext(d.victim))
	return strings.Contains(told, name) || strings.Contains(told, d.batch)
}

// unreadable reports whether an error is what ADR 7 says of a download of what the victim held.
func (d *trial) unreadable(err error) bool {
	stored := d.kind == "segment" || d.kind == "manifest" || d.kind == "upload"
	return stored && (statusOf(err) == http.StatusInternalServerError || errors.Is(err, io.ErrUnexpectedEOF))
}

// paid checks that no answer was thrown away: each that was given before the kill is in a result, was in the victim, is
// kept under lost/ or beside the journals, or was in flight. It returns how many lines were called again.
func (d *trial) paid(results map[string]bool) int {
	kept, sealed := make(map[string]bool), make(map[string]bool)
	for _, path := range filesIn(d.t, d.node.dir) {
		into := kept
		switch {
		case strings.HasPrefix(path, "lost/"), strings.HasPrefix(path, "journals/"):
		case strings.HasPrefix(path, "blobs/objects/segments/") && strings.Contains(path, d.batch):
			into = sealed // results that cannot be downloaded beside the victim's
		default:
			continue
		}
		content, err := os.ReadFile(filepath.Join(d.node.dir, path))
		if err == nil { // else the server has just removed it
			maps.Copy(into, answersIn(content))
		}
	}
	answered, again := map[string]bool{}, map[string]bool{}
	for _, c := range d.node.engine.log() {
		if c.process == 0 && c.answered {
			answered[c.line] = true
		} else if c.process > 0 {
			again[c.line] = true
		}
	}
	var gone []string
	repeated := 0
	for line := range answered {
		if again[line] {
			repeated++
		}
		if (again[line] || !results[line] && !sealed[line]) && !d.held[line] && !kept[line] {
			gone = append(gone, line)
		}
	}
	if len(gone) > matrixConcurrency {
		slices.Sort(gone)
		d.t.Errorf("%d answers are in no result and no file: %v", len(gone), gone[:5])
	}
	return max(0, repeated-matrixConcurrency)
}

// endedBefore checks the batches that had ended long before. It says in a few words if one is damaged, "" if not.
func (d *trial) endedBefore() string {
	what := ""
	for i, was := range d.world.ended {
		a, err := d.node.audit(was.job.ID, d.world.in[i])
		switch {
		case err != nil && d.unreadable(err):
			what = "older download refused"
		case err != nil:
			d.t.Error(err)
		case a.job.Status != was.job.Status || !bytes.Equal(a.output, was.output) || !bytes.Equal(a.errors, was.errors):
			d.t.Errorf("batch %s, which had ended, has changed", was.job.ID)
		}
	}
	return what
}
