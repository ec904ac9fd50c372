package httpapi

import (
	"net/http"
	"testing"
)

func TestAcceptsGzip(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"":                               false,
		"gzip":                           true,
		"GZIP":                           true,
		"x-gzip":                         true,
		"gzip, deflate":                  true,
		"deflate, gzip;q=1.0, *;q=0.5":   true,
		"gzip;q=0":                       false,
		"gzip;q=0.000":                   false,
		"gzip ; Q=0.1":                   true,
		"gzip;q=2":                       false,
		"gzip;q=-1":                      false,
		"gzip;q=NaN":                     false,
		"gzip;q=":                        false,
		"gzip;level=9":                   true,
		"*":                              true,
		"*;q=0":                          false,
		"*, gzip;q=0":                    false,
		"gzip;q=0, *":                    false,
		"br, zstd":                       false,
		"identity":                       false,
		"identity, gzip":                 true,
		"identity;q=1, gzip;q=0.5":       false,
		"identity;q=0.5, gzip;q=1":       true,
		"identity;q=0, *;q=0.1":          true,
		"gzipped":                        false,
		",,gzip,,":                       true,
		"gzip\t;\tq=1":                   true,
		"gzip;q=1;q=0":                   false,
		"deflate;q=1.0,gzip;q=0.5,*;q=0": true,
	} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {header}}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
	if !acceptsGzip(http.Header{"Accept-Encoding": {"br", "gzip"}}) {
		t.Error("the second of two headers does not count")
	}
}
