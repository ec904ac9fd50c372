package dialect

import (
	"cmp"
	"slices"
	"time"

	"batchd/internal/batch"
)

// Profile is all that holds for a call in one dialect: the shapes, and the vendor's limits, windows, retention and paging. It
// is complete: no zero stands for a default. Profiles are values; what they hold is shared and must not be changed.
type Profile struct {
	// Dialect parses and renders.
	Dialect Dialect
	// Limits bound files and lines, CreateRules say what create calls are checked against.
	Limits      batch.Limits
	CreateRules CreateRules
	Paging      Paging
	// InputTTL and OutputTTL are how long uploads and result files are kept for which client and dialect say nothing; 0 is
	// until they are deleted.
	InputTTL, OutputTTL time.Duration
	// MissingFileFails makes a create call with an unknown input file succeed with a batch that has failed, instead of
	// refusing it.
	MissingFileFails bool
}

// Paging bounds the pages of lists.
type Paging struct {
	Batches, Files PageBounds
	// Clamp takes a limit that is out of bounds for the nearest bound, instead of refusing it.
	Clamp bool
}

// PageBounds are how many objects a page has if the client does not say, and at most.
type PageBounds struct{ Default, Max int }

// DefaultPaging returns OpenAI's bounds, which hold where a vendor documents none.
func DefaultPaging() Paging {
	return Paging{Batches: PageBounds{Default: 20, Max: 100}, Files: PageBounds{Default: 10_000, Max: 10_000}}
}

// Server holds those of the server's settings that every dialect starts from.
type Server struct {
	Limits batch.Limits
	// Endpoints are those that the settings add to the ones built in.
	Endpoints []string
	Windows   []string
	// AnyWindow takes, in OpenAI's dialect, more windows than those, as in CreateRules: nobody said which there are.
	AnyWindow bool
	// InputTTL and OutputTTL are as in Profile.
	InputTTL, OutputTTL time.Duration
}

// Profile returns the profile of a dialect that has nothing of its own but its shapes.
func (s Server) Profile(d Dialect) Profile {
	return Profile{
		Dialect: d, Limits: s.Limits, CreateRules: CreateRules{Endpoints: s.endpoints(), Windows: s.Windows},
		Paging: DefaultPaging(), InputTTL: s.InputTTL, OutputTTL: s.OutputTTL,
	}
}

// endpoints returns all endpoints of the server. Settings may name some that have become built in since.
func (s Server) endpoints() []string {
	all := Endpoints()
	for _, e := range s.Endpoints {
		if !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	return all
}

// Endpoints returns the paths that batches may be run against on every server: OpenAI's own eight, those that inference
// engines commonly serve, and Anthropic's messages, which they serve too. The slice is the caller's.
func Endpoints() []string {
	return []string{
		"/v1/responses", "/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/moderations",
		"/v1/images/generations", "/v1/images/edits", "/v1/videos", "/v1/rerank", "/v1/score",
		"/v1/classify", "/v1/pooling", "/v1/messages",
	}
}

// Tighten applies a vendor's bounds on lines, 0 for none, and on a file's bytes, unless those that hold are tighter.
func (p *Profile) Tighten(lines, fileBytes int64) {
	if lines > 0 && (p.Limits.MaxLines == 0 || lines < p.Limits.MaxLines) {
		p.Limits.MaxLines = lines
	}
	p.Limits.MaxFileBytes = min(p.Limits.MaxFileBytes, fileBytes)
}

// AddWindows accepts a vendor's completion windows beside those that are accepted already.
func (p *Profile) AddWindows(windows ...string) {
	for _, w := range windows {
		if !slices.Contains(p.CreateRules.Windows, w) {
			p.CreateRules.Windows = append(slices.Clone(p.CreateRules.Windows), w)
		}
	}
}

// InputExpiresAt returns when a file that is uploaded now expires, zero for never. ttl is what the client or the dialect
// says, 0 for nothing.
func (p Profile) InputExpiresAt(now time.Time, ttl time.Duration) time.Time {
	if ttl = cmp.Or(ttl, p.InputTTL); ttl == 0 {
		return time.Time{}
	}
	return now.Add(ttl)
}
