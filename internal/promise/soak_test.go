//go:build !failpoint

package promise

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// soakVariable asks for more batches than soakBatches, and for the ten minutes that their bytes stay to pass.
const soakVariable = "BATCHD_PROOF_SOAK"

const (
	// soakBatches is how many batches of three lines a short soak runs, soakClients how many at a time.
	soakBatches = 300
	soakClients = 16
	// soakStay is when the bytes of the last batch are gone.
	soakStay = 11 * time.Minute
)

// TestSoak runs many small batches, downloads their results and deletes their files: the directory shrinks to its rows, and
// memory, descriptors and goroutines do not grow from the first quarter to the end.
func TestSoak(t *testing.T) {
	batches, asked := soakBatches, os.Getenv(soakVariable) != ""
	if asked {
		n, err := strconv.Atoi(os.Getenv(soakVariable))
		if err != nil || n < 1 {
			t.Fatalf("%s: want a number of batches", soakVariable)
		}
		batches = n
	}
	n := newNode(t, newEngine(t, steady(0)), 64)
	n.start()
	began := time.Now()
	n.soak(t, batches/4)
	early := n.gauges(t)
	n.soak(t, batches-batches/4)
	late, took, full := n.gauges(t), time.Since(began), n.stored(t)
	if asked {
		pause(soakStay)
	} else {
		n.stop() // it remembers the downloads
		n.age()
		n.start()
	}
	until(t, endWithin, "all bytes are gone", func() bool { return n.stored(t).blobs == 0 })
	last, left := n.gauges(t), n.stored(t)
	n.stop()

	for what, most := range map[string]float64{
		"process_open_fds": early["process_open_fds"] + 16, "go_goroutines": early["go_goroutines"] + 32,
		"process_resident_memory_bytes": 1.25*early["process_resident_memory_bytes"] + 32<<20,
	} {
		if late[what] > most || last[what] > most {
			t.Errorf("%s: %.0f after a quarter, %.0f after all, %.0f at the end", what, early[what], late[what], last[what])
		}
	}
	const perBatch = 8 << 10
	if left.files != 0 || left.database > int64(batches)*perBatch+1<<20 {
		t.Errorf("%d files are left beside the database of %d bytes for %d batches", left.files, left.database, batches)
	}
	if waiting := last["batchd_deleted_bytes"]; waiting != 0 {
		t.Errorf("%.0f bytes are told to wait", waiting)
	}
	t.Logf("%d batches in %s; descriptors %.0f, %.0f, %.0f; goroutines %.0f, %.0f, %.0f; resident MiB %.1f, %.1f, %.1f (a quarter, all, the end); "+
		"blobs %d in %.1f MiB, then %d; database %.1f MiB, %d bytes a batch", batches, took.Round(time.Second),
		early["process_open_fds"], late["process_open_fds"], last["process_open_fds"],
		early["go_goroutines"], late["go_goroutines"], last["go_goroutines"],
		mebi(early["process_resident_memory_bytes"]), mebi(late["process_resident_memory_bytes"]), mebi(last["process_resident_memory_bytes"]),
		full.blobs, mebi(float64(full.bytes)), left.blobs, mebi(float64(left.database)), left.database/int64(batches))
}

func mebi(bytes float64) float64 { return bytes / (1 << 20) }

// soak runs batches of three lines, some at a time, and deletes their files.
func (n *node) soak(t *testing.T, batches int) {
	t.Helper()
	work := make(chan int)
	var clients sync.WaitGroup
	for range soakClients {
		clients.Go(func() {
			for range work {
				if err := n.soakOne(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range batches {
		work <- i
	}
	close(work)
	clients.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// soakOne runs one batch whose last line fails, downloads both result files and deletes all three.
func (n *node) soakOne() error {
	in := input{lines: 3, bad: every(3)}
	f, err := n.upload("input.jsonl", in.write)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	j, err := n.create(f.ID, "24h")
	for deadline := time.Now().Add(endWithin); err == nil && !j.terminal(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("batch %s is still %s", j.ID, j.Status)
		}
		pause(10 * time.Millisecond)
		j, err = n.batch(j.ID)
	}
	if err != nil {
		return fmt.Errorf("run a batch: %w", err)
	}
	if j.OutputFileID == nil || j.ErrorFileID == nil {
		return fmt.Errorf("batch %s has ended as %s without its files", j.ID, j.Status)
	}
	for _, id := range []string{*j.OutputFileID, *j.ErrorFileID} {
		if _, err := n.content(id); err != nil {
			return fmt.Errorf("download %s: %w", id, err)
		}
	}
	for _, id := range []string{*j.OutputFileID, *j.ErrorFileID, f.ID} {
		if _, err := n.do(http.MethodDelete, "/v1/files/"+id, "", nil); err != nil {
			return fmt.Errorf("delete %s: %w", id, err)
		}
	}
	return nil
}

// gauge is a line of a metric without labels.
var gauge = regexp.MustCompile(`(?m)^([a-z_]+) (\S+)$`)

// gauges returns the metrics without labels.
func (n *node) gauges(t *testing.T) map[string]float64 {
	t.Helper()
	all := make(map[string]float64)
	for _, found := range gauge.FindAllStringSubmatch(n.get("/metrics"), -1) {
		v, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		all[found[1]] = v
	}
	return all
}

// stored is what is in a data directory: its database with its log, blobs and their bytes, and files of any kind that belong
// to batches.
type stored struct {
	database, bytes int64
	blobs, files    int
}

// stored counts it. What goes meanwhile may be counted or not.
func (n *node) stored(t *testing.T) stored {
	t.Helper()
	var s stored
	err := filepath.WalkDir(n.dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && entry.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return nil //nolint:nilerr // it has gone since it was listed
		}
		switch place, _, _ := strings.Cut(strings.TrimPrefix(path, n.dir+"/"), "/"); {
		case strings.HasPrefix(place, "batchd.db"):
			s.database += info.Size()
		case place == "blobs":
			s.blobs++
			s.files++
			s.bytes += info.Size()
		case place == "journals" || place == "tmp" || place == "lost":
			s.files++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
