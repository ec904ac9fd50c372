package vendors_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/vendors"
)

// server has settings of its own, some tighter than the vendors' and some not.
func server() dialect.Server {
	return dialect.Server{
		Limits:    batch.Limits{MaxLines: 60_000, MaxFileBytes: 150 * batch.MiB, MaxLineBytes: 1000, MaxResponseBytes: 2000},
		Endpoints: []string{"/v1/classify", "/v1/audio"}, Windows: []string{"1h", "48h"}, InputTTL: time.Hour, OutputTTL: 2 * time.Hour,
	}
}

// rest is what a profile says beside its shapes.
type rest struct {
	Lines, FileBytes   int64
	Endpoints, Windows []string
	Paging             dialect.Paging
	Input, Output      time.Duration
	MissingFileFails   bool
}

func TestEachVendorHasItsOwnLimitsWindowsRetentionAndPages(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	// What is built in is not listed twice; a strict dialect has it by the settings alone.
	usual := append(dialect.Endpoints(), "/v1/audio")
	wide := dialect.DefaultPaging()
	clamped := wide
	clamped.Clamp = true
	short := clamped
	short.Files.Default = 20
	for name, want := range map[string]map[bool]rest{
		"openai": {
			false: {60_000, 150 * batch.MiB, usual, []string{"1h", "48h"}, wide, time.Hour, 2 * time.Hour, false},
			true:  {60_000, 150 * batch.MiB, append(slices.Clone(usual[:8]), "/v1/classify", "/v1/audio"), []string{"1h", "48h"}, wide, time.Hour, 2 * time.Hour, true},
		},
		"novita": {
			false: {50_000, 100 * batch.MiB, usual, []string{"1h", "48h", "24h"}, clamped, 15 * day, 30 * day, false},
			true:  {50_000, 100 * batch.MiB, []string{"/v1/chat/completions", "/v1/completions"}, []string{"24h", "48h"}, clamped, 15 * day, 30 * day, false},
		},
		"neosantara": {
			false: {60_000, 100 * batch.MiB, usual, []string{"1h", "48h", "24h"}, short, time.Hour, 2 * time.Hour, false},
			true: {
				60_000, 100 * batch.MiB,
				[]string{"/v1/chat/completions", "/v1/embeddings", "/v1/responses"},
				[]string{"24h"},
				short,
				time.Hour, 2 * time.Hour, false,
			},
		},
	} {
		for strict, want := range want {
			settings := defaults()
			if strict {
				settings[name]["strict"] = "true"
			}
			all, err := vendors.Profiles(settings, server())
			if err != nil {
				t.Fatal(err)
			}
			p := all[name]
			got := rest{
				p.Limits.MaxLines, p.Limits.MaxFileBytes, p.CreateRules.Endpoints, p.CreateRules.Windows, p.Paging,
				p.InputTTL, p.OutputTTL, p.MissingFileFails,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, strict %v (-want +got):\n%s", name, strict, diff)
			}
			if p.Dialect.Name() != name || p.Dialect.Extensions() == strict {
				t.Errorf("%s, strict %v: dialect %s that takes what is ours: %v", name, strict, p.Dialect.Name(), p.Dialect.Extensions())
			}
		}
	}
}

func TestTheServersTighterLimitsHold(t *testing.T) {
	t.Parallel()
	s := server()
	s.Limits.MaxLines, s.Limits.MaxFileBytes = 10, 1000
	all, err := vendors.Profiles(defaults(), s)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range all {
		if p.Limits != s.Limits {
			t.Errorf("%s: %+v, want %+v", name, p.Limits, s.Limits)
		}
	}
}

func TestAVendorThatAddsAWindowChangesNobodyElses(t *testing.T) {
	t.Parallel()
	s := server()
	s.Windows = append(make([]string, 0, 8), "1h")
	all, err := vendors.Profiles(defaults(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got := all["openai"].CreateRules.Windows; !slices.Equal(got, []string{"1h"}) {
		t.Errorf("OpenAI's windows %v", got)
	}
	if got := s.Windows[:2]; got[1] != "" {
		t.Errorf("the server's own slice was written: %v", got)
	}
}

func TestSettingsThatNoSwitchTakesAreRefused(t *testing.T) {
	t.Parallel()
	settings := defaults()
	settings["novita"]["time_zone"] = "Moon/Sea"
	if _, err := vendors.Profiles(settings, server()); err == nil {
		t.Error("a zone that is none was taken")
	}
}

func defaults() map[string]dialect.Settings {
	all := make(map[string]dialect.Settings)
	for _, v := range vendors.All() {
		all[v.Name] = v.DefaultSettings()
	}
	return all
}
