package neosantara

import (
	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// The keys of Neosantara's settings.
const (
	strictKey   = "strict"
	spellingKey = "cancelled_spelling"
)

// maxFileBytes is Neosantara's limit on a file. Its pages write MB, taken for MiB so that no file is refused which
// Neosantara takes.
const maxFileBytes = 100 * batch.MiB

// Vendor returns Neosantara as batchd speaks like it. The prefix is ours: its own servers use OpenAI's path.
func Vendor() dialect.Vendor {
	return dialect.Vendor{
		Name: Name, Prefix: "/neosantara/v1",
		Switches: []dialect.Switch{
			{Key: strictKey, OnOff: true},
			{Key: spellingKey, Words: []string{spelledTwoL, spelledOneL}},
		},
		Profile: profile,
	}
}

// profile has Neosantara's limit on files, unless the server's own is tighter, and its pages. Its endpoints and its window
// hold alone if it is spoken strictly, and else beside the server's.
func profile(s dialect.Settings, server dialect.Server) (dialect.Profile, error) {
	strict := s.On(strictKey)
	p := server.Profile(New(Options{Strict: strict, CancelledSpelling: s[spellingKey]}))
	p.Tighten(0, maxFileBytes)
	p.Paging.Clamp, p.Paging.Files.Default = true, 20
	if strict {
		p.CreateRules = dialect.CreateRules{Endpoints: []string{"/v1/chat/completions", "/v1/embeddings", "/v1/responses"}}
	}
	p.AddWindows(defaultWindow)
	return p, nil
}
