package sweep_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/openfile"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
	"batchd/internal/sweep"
)

// TestB02WhoUploadsAndDeletesIsRefusedAtTheQuotaAndHasRoomWithinElevenMinutes has a tenant with room for two files upload and
// delete one again and again, over days and restarts.
func TestB02WhoUploadsAndDeletesIsRefusedAtTheQuotaAndHasRoomWithinElevenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tenant, size, quota = "t", 5000, 10_500
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "batchd.db"), sqlite.Options{MayCreate: true, Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(s.SetTenant(t.Context(), store.Tenant{ID: tenant, Limits: store.Limits{StoredBytes: quota}}))
		blobs, reading := newBlobs(), openfile.NewRegistry(store.DeletedStay)
		stored := func() (n int64) {
			must(blobs.List(t.Context(), "", func(i blob.Info) error { n += i.Size; return nil }))
			return n
		}
		made := 0
		upload := func() error {
			id := fmt.Sprintf("file-%d", made)
			made++
			b, err := blobs.Put(t.Context(), "files/"+id, strings.NewReader(strings.Repeat("x", size)))
			must(err)
			err = s.CreateFile(t.Context(), batch.File{
				ID: id, Tenant: tenant, Bytes: size, Content: batch.Manifest{}.Append(b, 0, size), CreatedAt: time.Now(),
			})
			if err != nil {
				must(blobs.Delete(t.Context(), b.Key))
				return err
			}
			return s.DeleteFile(t.Context(), tenant, id, time.Now())
		}
		var refusedSince time.Time
		for range 20 {
			stop := startWith(t, sweep.Options{Store: s, Blobs: blobs, Expired: func(string) {}, Busy: reading.Busy, Now: time.Now})
			for range 50 {
				var refusal *store.QuotaError
				switch err := upload(); {
				case errors.As(err, &refusal):
					if refusedSince.IsZero() {
						refusedSince = time.Now()
					}
					if waited := time.Since(refusedSince); waited > 11*time.Minute {
						t.Fatalf("refused for %s", waited)
					}
				default:
					must(err)
					refusedSince = time.Time{}
				}
				if n := stored(); n > quota {
					t.Fatalf("%d bytes are stored with a quota of %d", n, quota)
				}
				time.Sleep(20 * time.Second)
			}
			stop() // and the next process begins nothing anew
		}
		if refusedSince.IsZero() && made < 100 {
			t.Errorf("%d files were uploaded", made)
		}
		time.Sleep(time.Minute)
		stop := startWith(t, sweep.Options{Store: s, Blobs: blobs, Expired: func(string) {}, Busy: reading.Busy, Now: time.Now})
		time.Sleep(11 * time.Minute)
		stop()
		usage, err := s.Usage(t.Context(), tenant, time.Now())
		must(err)
		if n := stored(); n != 0 || usage.StoredBytes != 0 {
			t.Errorf("%d bytes are stored and %d counted at the end", n, usage.StoredBytes)
		}
	})
}
