package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

// A finished batch says which of its files cannot be downloaded whole, unless its dialect has only what its vendor documents.
func TestABatchSaysWhichOfItsFilesAreDamaged(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		f := newFixture(t, func(o *options) {
			mountVendors(o, strict)
			o.Damaged = func(b batch.Batch) []batch.DamagedFile {
				return []batch.DamagedFile{{FileID: b.OutputFileID, Problem: "missing", Since: time.Unix(1790000000, 0)}}
			}
		})
		seed := &seeder{fixture: f, blobs: blob.NewStore(f.objects, blob.Options{}), dialects: mountVendors(&options{}, false)}
		seed.seed("batch completed id=batch_1 total=3 completed=3 output=file-out")
		for prefix, since := range map[string]string{
			"/v1": "1790000000", "/openai/v1": `"2026-09-21`, "/neosantara/v1": "1790000000", "/batchd/v1": "1790000000",
		} {
			for _, path := range []string{"/batches/batch_1", "/batches"} {
				body := f.want(f.do("GET", prefix+path, ""), 200)
				want := `"damaged_files":[{"file_id":"file-out","problem":"missing","since":` + since
				if strings.Contains(body, want) == (strict && prefix != "/batchd/v1") {
					t.Errorf("strict %v, %s%s: %s", strict, prefix, path, body)
				}
			}
		}
	}
}
