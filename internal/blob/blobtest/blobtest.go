// Package blobtest is the conformance suite of blob backends, and of blob.Store on top of one; and it has a backend
// in memory for tests that need blobs but no disk. A promise of the contract enters the suite before any backend. It
// knows nothing of how a backend works.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

var errReader = errors.New("reader broke")

// Run tests the backends that newBackend makes; each must be empty and not shared.
func Run(t *testing.T, newBackend func(t *testing.T) blob.Backend) {
	for name, test := range map[string]func(*testing.T, blob.Backend){
		"put and read back":                  testPut,
		"empty object":                       testEmpty,
		"large object":                       testLarge,
		"putting the same again":             testReplace,
		"a failing reader leaves nothing":    testFailingReader,
		"a failing reader replaces nothing":  testFailingReplace,
		"reads in odd pieces":                testOddReaders,
		"a reader that yields nothing":       testStuckReader,
		"put with a cancelled context":       testCancelledPut,
		"put cancelled half way":             testCancelledHalfWay,
		"other calls with cancelled context": testCancelledCalls,
		"absent object":                      testAbsent,
		"delete":                             testDelete,
		"delete leaves the neighbours":       testDeleteNeighbours,
		"list by prefix":                     testList,
		"list stops at an error":             testListError,
		"list while deleting":                testListDeleting,
		"good keys":                          testGoodKeys,
		"a key that begins another":          testNestedKeys,
		"bad keys":                           testBadKeys,
		"read at and past the end":           testReadAt,
		"stat":                               testStat,
		"concurrent use":                     testConcurrent,
		"concurrent use of one key":          testConcurrentKey,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newBackend(t))
		})
	}
}

func testPut(t *testing.T, b blob.Backend) {
	want := Random(1, 10_000)
	put(t, b, "files/a", want)
	wantObject(t, b, "files/a", want)
}

func testEmpty(t *testing.T, b blob.Backend) {
	put(t, b, "empty", nil)
	wantObject(t, b, "empty", nil)
	n, err := b.ReadAt(t.Context(), "empty", make([]byte, 1), 0)
	if n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read = %d, %v, want io.EOF", n, err)
	}
}

func testLarge(t *testing.T, b blob.Backend) {
	want := Random(2, 2*batch.BlobBlock+12_345)
	put(t, b, "files/large", want)
	wantObject(t, b, "files/large", want)
}

func testReplace(t *testing.T, b blob.Backend) {
	want := Random(3, 5000)
	put(t, b, "files/a", want)
	put(t, b, "files/a", want)
	wantObject(t, b, "files/a", want)
	wantKeys(t, b, "", "files/a")
}

func testFailingReader(t *testing.T, b blob.Backend) {
	for name, err := range map[string]error{
		"an error of its own":          errReader,
		"the error of a broken upload": io.ErrUnexpectedEOF,
	} {
		for _, size := range []int{0, 1, 1000, batch.BlobBlock + 7} {
			r := io.MultiReader(bytes.NewReader(Random(4, size)), iotest.ErrReader(err))
			_, got := b.Put(t.Context(), "files/a", r)
			if !errors.Is(got, err) {
				t.Errorf("%s after %d bytes: put = %v, want that error", name, size, got)
			}
			wantNoObject(t, b, "files/a")
		}
	}
	wantKeys(t, b, "")
}

func testFailingReplace(t *testing.T, b blob.Backend) {
	want := Random(5, 5000)
	put(t, b, "files/a", want)
	r := io.MultiReader(bytes.NewReader(want[:1000]), iotest.ErrReader(errReader))
	if _, err := b.Put(t.Context(), "files/a", r); !errors.Is(err, errReader) {
		t.Errorf("put = %v, want the reader's error", err)
	}
	wantObject(t, b, "files/a", want)
}

func testOddReaders(t *testing.T, b blob.Backend) {
	want := Random(6, 5000)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"byte by byte":          iotest.OneByteReader,
		"half of what is asked": iotest.HalfReader,
		"last bytes with EOF":   iotest.DataErrReader,
	} {
		n, err := b.Put(t.Context(), "files/a", wrap(bytes.NewReader(want)))
		if n != int64(len(want)) || err != nil {
			t.Errorf("%s: put = %d, %v, want %d", name, n, err, len(want))
		}
		wantObject(t, b, "files/a", want)
	}
}

// stuck is a reader that breaks the rules: it returns nothing and no error, for ever.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func testStuckReader(t *testing.T, b blob.Backend) {
	if _, err := b.Put(t.Context(), "files/a", stuck{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("put = %v, want io.ErrNoProgress", err)
	}
	wantNoObject(t, b, "files/a")
}

func testCancelledPut(t *testing.T, b blob.Backend) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Put(ctx, "files/a", bytes.NewReader(Random(7, 100)))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("put = %v, want context.Canceled", err)
	}
	wantNoObject(t, b, "files/a")
}

// readerFunc is a reader made of one function.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func testCancelledHalfWay(t *testing.T, b blob.Backend) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	left := 3 * batch.BlobBlock
	r := readerFunc(func(p []byte) (int, error) {
		if left == 0 {
			return 0, io.EOF
		}
		if left < batch.BlobBlock {
			cancel()
		}
		n := min(left, len(p))
		left -= n
		return n, nil
	})
	if _, err := b.Put(ctx, "files/a", r); !errors.Is(err, context.Canceled) {
		t.Errorf("put = %v, want context.Canceled", err)
	}
	wantNoObject(t, b, "files/a")
	wantKeys(t, b, "")
}

func testCancelledCalls(t *testing.T, b blob.Backend) {
	put(t, b, "files/a", Random(8, 100))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, readErr := b.ReadAt(ctx, "files/a", make([]byte, 1), 0)
	_, statErr := b.Stat(ctx, "files/a")
	listErr := b.List(ctx, "", func(blob.Info) error { return nil })
	for what, err := range map[string]error{
		"read": readErr, "stat": statErr, "list": listErr, "delete": b.Delete(ctx, "files/a"),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error = %v, want context.Canceled", what, err)
		}
	}
	wantObject(t, b, "files/a", Random(8, 100))
}

func testAbsent(t *testing.T, b blob.Backend) {
	wantNoObject(t, b, "files/absent")
	wantNoObject(t, b, "no/such/folder/absent")
	wantKeys(t, b, "")
}

func testDelete(t *testing.T, b blob.Backend) {
	put(t, b, "files/a", Random(9, 100))
	for range 2 {
		if err := b.Delete(t.Context(), "files/a"); err != nil {
			t.Errorf("delete: %v", err)
		}
		wantNoObject(t, b, "files/a")
	}
	if err := b.Delete(t.Context(), "never/was"); err != nil {
		t.Errorf("delete of an absent object: %v", err)
	}
	put(t, b, "files/a", Random(9, 50))
	wantObject(t, b, "files/a", Random(9, 50))
}

func testDeleteNeighbours(t *testing.T, b blob.Backend) {
	keys := []string{"segments/b1/1", "segments/b1/2", "segments/b2/1", "segments/b1/sub/x"}
	for i, key := range keys {
		put(t, b, key, Random(uint64(i), 100))
	}
	for i, key := range keys {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		wantKeys(t, b, "", keys[i+1:]...)
	}
	put(t, b, keys[0], Random(0, 100))
	wantKeys(t, b, "", keys[0])
}

func testList(t *testing.T, b blob.Backend) {
	keys := []string{"a", "files/1", "files/10", "files/2", "plans/b1/l1", "plans/b1/l2", "plans/b10/l1", "plansx"}
	for i, key := range keys {
		put(t, b, key, Random(uint64(i), i))
	}
	for prefix, want := range map[string][]string{
		"":             keys,
		"a":            {"a"},
		"files/":       {"files/1", "files/10", "files/2"},
		"files":        {"files/1", "files/10", "files/2"},
		"files/1":      {"files/1", "files/10"},
		"files/10":     {"files/10"},
		"plans":        {"plans/b1/l1", "plans/b1/l2", "plans/b10/l1", "plansx"},
		"plans/b1":     {"plans/b1/l1", "plans/b1/l2", "plans/b10/l1"},
		"plans/b1/":    {"plans/b1/l1", "plans/b1/l2"},
		"none":         nil,
		"none/":        nil,
		"a/":           nil,
		"/":            nil,
		"/files":       nil,
		"files//":      nil,
		"../":          nil,
		"files/../":    nil,
		"files/1/":     nil,
		"files/\x00":   nil,
		"plans/b1/l1x": nil,
	} {
		wantKeys(t, b, prefix, want...)
	}
}

func testListError(t *testing.T, b blob.Backend) {
	for _, key := range []string{"a/1", "a/2", "b/1"} {
		put(t, b, key, nil)
	}
	calls := 0
	err := b.List(t.Context(), "", func(blob.Info) error {
		calls++
		return errReader
	})
	if err != errReader || calls != 1 { //nolint:errorlint // the contract says: as it is
		t.Errorf("list = %v after %d calls, want fn's own error after one", err, calls)
	}
}

func testListDeleting(t *testing.T, b blob.Backend) {
	keys := []string{"a/1", "a/2", "a/b/3", "c/4"}
	for _, key := range keys {
		put(t, b, key, Random(1, 10))
	}
	var seen []string
	err := b.List(t.Context(), "", func(info blob.Info) error {
		seen = append(seen, info.Key)
		return b.Delete(t.Context(), info.Key)
	})
	slices.Sort(seen)
	if diff := cmp.Diff(keys, seen); diff != "" || err != nil {
		t.Errorf("list = %v (-want +got):\n%s", err, diff)
	}
	wantKeys(t, b, "")
}

func testGoodKeys(t *testing.T, b blob.Backend) {
	longest := strings.Repeat(strings.Repeat("k", 127)+"/", 3) + strings.Repeat("l", 128)
	keys := []string{
		"a", "0", "A.b_c-d", ".hidden", "-", "...", "a..b/..c/d..", "a/b/c/d/e/f", "tmp/a", "objects/a",
		strings.Repeat("s", 200), longest,
	}
	for i, key := range keys {
		put(t, b, key, Random(uint64(i), 10+i))
	}
	for i, key := range keys {
		wantObject(t, b, key, Random(uint64(i), 10+i))
	}
	slices.Sort(keys)
	wantKeys(t, b, "", keys...)
}

func testNestedKeys(t *testing.T, b blob.Backend) {
	keys := []string{"a/b/c", "a", "a/b", "a.d", "a.d/b"}
	for i, key := range keys {
		put(t, b, key, Random(uint64(i), 20))
	}
	for i, key := range keys {
		wantObject(t, b, key, Random(uint64(i), 20))
	}
	slices.Sort(keys)
	wantKeys(t, b, "", keys...)
}

func testBadKeys(t *testing.T, b blob.Backend) {
	for _, key := range badKeys() {
		_, putErr := b.Put(t.Context(), key, strings.NewReader("x"))
		_, readErr := b.ReadAt(t.Context(), key, make([]byte, 1), 0)
		_, statErr := b.Stat(t.Context(), key)
		for what, err := range map[string]error{
			"put": putErr, "read": readErr, "stat": statErr, "delete": b.Delete(t.Context(), key),
		} {
			if !errors.Is(err, blob.ErrBadKey) {
				t.Errorf("%s of %.40q: error = %v, want ErrBadKey", what, key, err)
			}
		}
	}
	wantKeys(t, b, "")
}

func badKeys() []string {
	return []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/./b", "../a", "a/..", "a/../b", "../../etc/passwd",
		"%2e%2e/a", "a%2fb", "a\\b", "..\\a", "C:a", "a b", "a\x00", "a\n", "é", "a*", "a?", "a@", "~", "a+b",
		strings.Repeat("s", 201), strings.Repeat("k/", 256) + "k",
	}
}

func testReadAt(t *testing.T, b blob.Backend) {
	want := Random(10, batch.BlobBlock+100)
	put(t, b, "a", want)
	for _, test := range []struct {
		off, len, want int
	}{
		{0, len(want), len(want)},
		{0, 1, 1},
		{batch.BlobBlock - 1, 2, 2},
		{len(want) - 1, 1, 1},
		{len(want) - 10, 11, 10},
		{0, len(want) + 1, len(want)},
		{len(want), 1, 0},
		{len(want) + 1000, 1, 0},
		{5, 0, 0},
	} {
		p := make([]byte, test.len)
		n, err := b.ReadAt(t.Context(), "a", p, int64(test.off))
		if n != test.want || test.want > 0 && !bytes.Equal(p[:n], want[test.off:test.off+n]) {
			t.Errorf("read %d at %d = %d bytes, or wrong ones, want %d", test.len, test.off, n, test.want)
		}
		if short := test.want < test.len; short != errors.Is(err, io.EOF) || !short && err != nil {
			t.Errorf("read %d at %d: error = %v, want io.EOF: %v", test.len, test.off, err, short)
		}
	}
	if _, err := b.ReadAt(t.Context(), "a", make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read at -1: error = %v, want one that is not io.EOF", err)
	}
}

func testStat(t *testing.T, b blob.Backend) {
	put(t, b, "files/a", Random(11, 1234))
	first := wantObject(t, b, "files/a", Random(11, 1234))
	if first.Key != "files/a" || first.Stored.IsZero() {
		t.Errorf("stat = %+v, want the key and a time", first)
	}
	err := b.List(t.Context(), "files/", func(listed blob.Info) error {
		if listed.Key != first.Key || listed.Size != first.Size || !listed.Stored.Equal(first.Stored) {
			t.Errorf("list says %+v, stat %+v", listed, first)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Random returns n bytes that depend on seed alone.
func Random(seed uint64, n int) []byte {
	var key [32]byte
	key[0] = byte(seed)
	p := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(p) // never fails
	return p
}
