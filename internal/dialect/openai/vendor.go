package openai

import (
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// The keys of OpenAI's settings, and what a create call with an unknown input file gets: an error, or a batch that has
// failed, which is what OpenAI does.
const (
	strictKey      = "strict"
	missingFileKey = "missing_file"

	missingFileRefuse    = "refuse"
	missingFileFailBatch = "fail_batch"
)

// Vendor returns OpenAI as batchd speaks like it. It has no prefix of its own: its path is every server's.
func Vendor() dialect.Vendor {
	return dialect.Vendor{
		Name: Name,
		// Azure's: all its clients send it with every call, and its answers have OpenAI's shapes.
		Parameter: "api-version",
		Switches: []dialect.Switch{
			{Key: strictKey, OnOff: true},
			{Key: missingFileKey, Words: []string{missingFileRefuse, missingFileFailBatch}},
		},
		Defaults: defaults,
		Profile:  profile,
	}
}

// defaults are OpenAI's own limits, windows and retention, if it is spoken strictly. The TTL of uploads is the dialect's to
// give, since it depends on their purpose.
func defaults(s dialect.Settings) (dialect.Defaults, bool) {
	return dialect.Defaults{
		MaxLines: 50_000, MaxFileBytes: 200 * batch.MiB, Windows: []string{"24h"}, OutputTTL: thirtyDays * time.Second,
	}, s.On(strictKey)
}

// profile is the server's, but for the endpoints where OpenAI is spoken strictly: those that OpenAI runs batches against, and
// those that the settings add by name. Its windows are words there.
func profile(s dialect.Settings, server dialect.Server) (dialect.Profile, error) {
	strict := s.On(strictKey)
	p := server.Profile(New(Options{Strict: strict}))
	if strict {
		p.CreateRules.Endpoints = append([]string{
			"/v1/responses", chatCompletions, "/v1/embeddings", "/v1/completions", "/v1/moderations",
			"/v1/images/generations", "/v1/images/edits", "/v1/videos",
		}, server.Endpoints...)
	}
	p.CreateRules.AnyWindow = server.AnyWindow && !strict
	// OpenAI does so too.
	p.MissingFileFails = strict || s[missingFileKey] == missingFileFailBatch
	return p, nil
}
