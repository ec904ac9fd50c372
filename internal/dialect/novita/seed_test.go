package novita_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect/novita"
)

// field is a member of an object: its name and the kinds that Novita's reference gives it.
type field struct {
	name  string
	kinds string // of jsontext.Kind: '"' a string, '0' a number, 'n' null, '{' an object, '[' an array, 'b' a boolean
}

// batchFields are the properties of a batch in Novita's reference of its list call, with their types, in the order of
// the sample in its guide.
func batchFields() []field {
	return []field{
		{"id", `"`},
		{"object", `"`},
		{"endpoint", `"`},
		{"input_file_id", `"`},
		{"output_file_id", `"`},
		{"error_file_id", `"`},
		{"completion_window", `"`},
		{"in_progress_at", `"n`},
		{"expires_at", `"n`},
		{"finalizing_at", `"n`},
		{"completed_at", `"n`},
		{"failed_at", `"n`},
		{"expired_at", `"n`},
		{"cancelling_at", `"n`},
		{"cancelled_at", `"n`},
		{"status", `"`},
		{"errors", `"`},
		{"version", "0"},
		{"created_at", `"`},
		{"updated_at", `"n`},
		{"created_by", `"`},
		{"created_by_key_id", `"`},
		{"remark", `"`},
		{"total", "0"},
		{"completed", "0"},
		{"failed", "0"},
		{"metadata", "{n"},
		{"request_counts", "{"},
	}
}

// listFields are those of the list, in the order of the reference.
func listFields() []field {
	return []field{{"data", "["}, {"first_id", `"`}, {"has_more", "b"}, {"last_id", `"`}, {"object", `"`}}
}

// member is a member of a decoded object.
type member struct {
	name  string
	value jsontext.Value
}

// members decodes an object, keeping the order.
func members(t *testing.T, raw []byte) []member {
	t.Helper()
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	if open, err := d.ReadToken(); err != nil || open.Kind() != jsontext.KindBeginObject {
		t.Fatalf("not an object: %s (%v)", raw, err)
	}
	var all []member
	for d.PeekKind() == jsontext.KindString {
		name, err := d.ReadToken()
		if err != nil {
			t.Fatalf("decode %s: %v", raw, err)
		}
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			t.Fatalf("decode %s of %s: %v", key, raw, err)
		}
		all = append(all, member{key, value.Clone()})
	}
	return all
}

// kindOf is the letter of a value's kind: whether it is true or false is the same kind.
func kindOf(v jsontext.Value) byte {
	if k := v.Kind(); k != jsontext.KindTrue && k != jsontext.KindFalse {
		return byte(k)
	}
	return 'b'
}

// wantFields fails the test unless the object has exactly these fields in this order, each of one of its kinds.
func wantFields(t *testing.T, got []member, want []field) {
	t.Helper()
	names := func(n int, name func(i int) string) (all []string) {
		for i := range n {
			all = append(all, name(i))
		}
		return all
	}
	gotNames := names(len(got), func(i int) string { return got[i].name })
	wantNames := names(len(want), func(i int) string { return want[i].name })
	if !slices.Equal(gotNames, wantNames) {
		t.Fatalf("fields\ngot  %q\nwant %q", gotNames, wantNames)
	}
	for i, m := range got {
		if kind := kindOf(m.value); bytes.IndexByte([]byte(want[i].kinds), kind) < 0 {
			t.Errorf("%s is %s, want one of the kinds %s", m.name, m.value, want[i].kinds)
		}
	}
}

func TestBatchesHaveTheFieldsOfTheReferenceInEveryState(t *testing.T) {
	t.Parallel()
	for name, d := range dialects() {
		for state, b := range batches() {
			t.Run(name+"/"+state, func(t *testing.T) {
				t.Parallel()
				object := members(t, d.Batch(b))
				wantFields(t, object, batchFields())
				counts := object[len(object)-1]
				wantFields(t, members(t, counts.value), []field{{"total", "0"}, {"completed", "0"}, {"failed", "0"}})
			})
		}
	}
}

func TestListsHaveTheFieldsOfTheReference(t *testing.T) {
	t.Parallel()
	for name, d := range dialects() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFields(t, members(t, d.BatchList(nil, false)), listFields())
			list := members(t, d.BatchList([]batch.Batch{completed()}, true))
			wantFields(t, list, listFields())
			var items []jsontext.Value
			decode(t, list[0].value, &items)
			wantFields(t, members(t, items[0]), batchFields())
		})
	}
}

func TestTimesAreNullExactlyUntilTheyHappen(t *testing.T) {
	t.Parallel()
	d := novita.New(novita.Options{})
	happened := map[string][]string{
		"validating": {},
		"running":    {"in_progress_at", "expires_at", "updated_at"},
		"finalizing": {"in_progress_at", "expires_at", "finalizing_at", "updated_at"},
		"completed":  {"in_progress_at", "expires_at", "finalizing_at", "completed_at", "updated_at"},
		"failed":     {"expires_at", "failed_at", "updated_at"},
		"expired":    {"in_progress_at", "expires_at", "expired_at", "updated_at"},
		"cancelling": {"in_progress_at", "expires_at", "cancelling_at", "updated_at"},
		"cancelled":  {"in_progress_at", "expires_at", "cancelling_at", "cancelled_at", "updated_at"},
	}
	for state, b := range batches() {
		var got []string
		for _, m := range members(t, d.Batch(b)) {
			isTime := len(m.name) > 3 && m.name[len(m.name)-3:] == "_at" && m.name != "created_at"
			if !isTime || m.value.Kind() == jsontext.KindNull {
				continue
			}
			got = append(got, m.name)
			var text string
			decode(t, m.value, &text)
			if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
				t.Errorf("%s: %s: %v", state, m.name, err)
			}
		}
		if !slices.Equal(got, happened[state]) {
			t.Errorf("%s has %q, want %q", state, got, happened[state])
		}
	}
}

// The time in the sample of Novita's guide, which has the zone of its servers.
func TestTimesAreWrittenInTheZoneOfTheDialect(t *testing.T) {
	t.Parallel()
	b := validating()
	b.CreatedAt = time.Date(2025, 8, 11, 8, 31, 52, 949816948, time.UTC)
	for want, zone := range map[string]*time.Location{
		"2025-08-11T16:31:52.949816948+08:00": time.FixedZone("", 8*60*60),
		"2025-08-11T08:31:52.949816948Z":      nil,
	} {
		d := novita.New(novita.Options{Zone: zone})
		if got := textOf(t, d.Batch(b), "created_at"); got != want {
			t.Errorf("in zone %v: %s, want %s", zone, got, want)
		}
	}
}
