package httpapi_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// walk follows a list to its end by has_more and after, and returns all ids.
func (f *fixture) walk(path string, limit int) []string {
	f.t.Helper()
	var all []string
	after := ""
	for range 100 {
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		body := f.want(f.do("GET", fmt.Sprintf("%s%slimit=%d&after=%s", path, separator, limit, after), ""), 200)
		all = append(all, ids(f.t, body)...)
		if object(f.t, body)["has_more"] != true {
			return all
		}
		after = field(f.t, body, "last_id")
	}
	f.t.Fatal("the list does not end")
	return nil
}

func TestListsPageThroughEverythingOnceNewestFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	var files, batches []string
	for range 7 {
		files = append(files, f.mustUpload(goodLine))
		batches = append(batches, f.mustCreate(files[len(files)-1]))
	}
	other := field(t, f.want(f.upload([]part{{"file", "n.txt", "x"}, {"purpose", "", "vision"}}), 200), "id")
	for _, limit := range []int{1, 3, 7, 100} {
		if got := f.walk("/v1/files?order=asc&purpose=batch", limit); !slices.Equal(got, files) {
			t.Errorf("limit %d: files of purpose batch %v, want %v", limit, got, files)
		}
		if got := f.walk("/v1/files?order=asc", limit); !slices.Equal(got, append(slices.Clone(files), other)) {
			t.Errorf("limit %d: files %v", limit, got)
		}
		newest := slices.Clone(batches)
		slices.Reverse(newest)
		if got := f.walk("/v1/batches", limit); !slices.Equal(got, newest) {
			t.Errorf("limit %d: batches %v, want %v", limit, got, newest)
		}
	}
	if got := ids(t, f.want(f.do("GET", "/v1/files?order=desc&limit=1", ""), 200)); !slices.Equal(got, []string{other}) {
		t.Errorf("newest file %v, want %s", got, other)
	}
}

func TestI23BadCursorsAndLimitsAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	file := f.mustUpload(goodLine)
	created := f.mustCreate(file)
	foreign := f.mustUpload(goodLine, "Authorization", "Bearer theirs")
	for _, list := range []string{"/v1/files", "/v1/batches"} {
		most := map[string]string{"/v1/files": "10001", "/v1/batches": "101"}[list]
		for query, want := range map[string]fault{
			"limit=-1":                             {Param: "limit", Code: "integer_below_min_value"},
			"limit=0":                              {Param: "limit", Code: "integer_below_min_value"},
			"limit=" + most:                        {Param: "limit", Code: "integer_above_max_value"},
			"limit=1000000000":                     {Param: "limit", Code: "integer_above_max_value"},
			"limit=99999999999999999999":           {Param: "limit", Code: "integer_above_max_value"},
			"limit=-99999999999999999999":          {Param: "limit", Code: "integer_below_min_value"},
			"limit=ten":                            {Param: "limit", Code: "invalid_type"},
			"limit=1.5":                            {Param: "limit", Code: "invalid_type"},
			"after=none":                           {Param: "after", Code: "invalid_value"},
			"after=%27%20OR%201=1":                 {Param: "after", Code: "invalid_value"},
			"after=" + url.QueryEscape("\x00"):     {Param: "after", Code: "invalid_value"},
			"after=" + strings.Repeat("x", 64<<10): {Param: "after", Code: "invalid_value"},
			"after=" + foreign:                     {Param: "after", Code: "invalid_value"},
		} {
			got := faultOf(t, f.do("GET", list+"?"+query, ""))
			if got.Status != 400 || got.Param != want.Param || got.Code != want.Code {
				t.Errorf("%s?%.60s: fault %+v", list, query, got)
			}
		}
	}
	// A cursor of the other list is no cursor.
	f.want(f.do("GET", "/v1/files?after="+created, ""), 400)
	f.want(f.do("GET", "/v1/batches?after="+file, ""), 400)
}

func TestMountThatClampsTakesAnyLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { o.Mounts[0].Paging.Clamp, o.Mounts[0].Paging.Batches.Max = true, 2 })
	for range 3 {
		f.mustCreate(f.mustUpload(goodLine))
	}
	for limit, want := range map[string]int{"-1": 1, "0": 1, "1": 1, "2": 2, "1000000000": 2, "99999999999999999999": 2} {
		if got := ids(t, f.want(f.do("GET", "/v1/batches?limit="+limit, ""), 200)); len(got) != want {
			t.Errorf("limit %s: %d batches, want %d", limit, len(got), want)
		}
	}
	f.want(f.do("GET", "/v1/batches?limit=ten", ""), 400)
}
