package httpapi_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect/openai"
)

func TestBatchesAreFilteredByStatusAndCreation(t *testing.T) {
	t.Parallel()
	clock := now
	f := newFixture(t, func(o *options) { o.Now = func() time.Time { return clock } })
	var made []string // one a minute, oldest first
	for _, state := range []batch.Status{batch.Completed, batch.Failed, batch.Completed, batch.InProgress, batch.Validating} {
		id := f.mustCreate(f.mustUpload(goodLine))
		f.advance(id, state)
		made = append(made, id)
		clock = clock.Add(time.Minute)
	}
	at := func(minutes int) string { return now.Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339) }
	for query, want := range map[string][]int{
		"status=completed":   {2, 0},
		"status=failed":      {1},
		"status=in_progress": {3},
		"status=expired":     {},
		"created_after=1790000060&created_before=1790000180":  {2, 1},
		"created_after=" + at(1) + "&created_before=" + at(3): {2, 1},
		"created_after=" + at(3):                              {4, 3},
		"created_before=" + at(1):                             {0},
		"created_before=0":                                    {},
		"created_after=" + at(9):                              {},
		"created_after=" + at(2) + "&created_before=" + at(1): {},
		"status=completed&created_after=" + at(1):             {2},
		"status=completed&created_after=" + now.Add(time.Minute).In(time.FixedZone("", 8*60*60)).Format(time.RFC3339): {2},
		"status=completed&created_after=" + now.Add(2*time.Minute+time.Millisecond).Format(time.RFC3339Nano):          {},
		"status=completed&after=" + made[2]:                           {0},
		"status=completed&limit=1":                                    {2},
		"purpose=batch&status=failed&unknown_to_us=is_not_for_us":     {1},
		"status=validating&created_after=" + url.QueryEscape("1e9"):   nil,
		"status=validating&created_after=253402300800":                nil,
		"status=validating&created_before=" + url.QueryEscape("+100"): {},
	} {
		t.Run(query, func(t *testing.T) {
			w := f.do("GET", "/v1/batches?"+query, "")
			if want == nil {
				f.want(w, 400)
				return
			}
			wanted := make([]string, 0, len(want))
			for _, i := range want {
				wanted = append(wanted, made[i])
			}
			if got := ids(t, f.want(w, 200)); !slices.Equal(got, wanted) {
				t.Errorf("got %v, want %v", got, wanted)
			}
		})
	}
	if got, want := f.walk("/v1/batches?status=completed", 1), []string{made[2], made[0]}; !slices.Equal(got, want) {
		t.Errorf("pages of completed batches: %v, want %v", got, want)
	}
}

func TestBadFiltersAreRefusedByName(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for query, param := range map[string]string{
		"status=":                                       "status",
		"status":                                        "status",
		"status=done":                                   "status",
		"status=COMPLETED":                              "status",
		"status=completed,failed":                       "status",
		"status=completed&status=failed":                "status",
		"created_after=":                                "created_after",
		"created_after=yesterday":                       "created_after",
		"created_after=-1":                              "created_after",
		"created_after=1.5":                             "created_after",
		"created_after=99999999999999999999":            "created_after",
		"created_after=1969-12-31T23:59:59Z":            "created_after",
		"created_after=2026-13-01T00:00:00Z":            "created_after",
		"created_before=2026-01-01":                     "created_before",
		"created_before=%00":                            "created_before",
		"created_before=1&created_before=2":             "created_before",
		"created_before=" + strings.Repeat("9", 64<<10): "created_before",
	} {
		got := faultOf(t, f.do("GET", "/v1/batches?"+query, ""))
		if got.Status != 400 || got.Param != param || got.Code == "" || len(got.Message) > 300 {
			t.Errorf("%.60s: fault %+v", query, got)
		}
	}
}

func TestStrictDialectKnowsNoFilters(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { o.Mounts[0].Dialect = openai.New(openai.Options{Strict: true}) })
	for _, param := range []string{"status", "created_after", "created_before"} {
		for _, value := range []string{"completed", "1", ""} {
			got := faultOf(t, f.do("GET", "/v1/batches?"+param+"="+value, ""))
			if got.Status != 400 || got.Param != param || got.Code != "unknown_parameter" || !strings.Contains(got.Message, param) {
				t.Errorf("%s=%s: fault %+v", param, value, got)
			}
		}
	}
	f.want(f.do("GET", "/v1/batches?limit=1&anything=else", ""), 200)
}
