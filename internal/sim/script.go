package sim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Script says what goes wrong. For each request the first rule that matches, and has not fired its number of times,
// is applied; a request that matches none is served normally.
//
// As JSON, durations are strings ("250ms") and unknown names are errors:
//
//	{"rules": [
//	  {"match": {"contains": "poison"}, "action": {"status": 500}},
//	  {"match": {"rate": 0.01, "attempts": 1}, "action": {"reset": "mid_body"}},
//	  {"match": {"path": "/v1/embeddings"}, "times": 3, "action": {"status": 429, "headers": {"Retry-After": "2"}}}
//	]}
type Script struct {
	Rules []Rule `json:"rules"`
}

// A Rule is one fault and the requests it strikes.
type Rule struct {
	// Match selects requests.
	Match Match `json:"match"`
	// Times is how often the rule fires; 0 means without end.
	Times int `json:"times"`
	// Action is what happens.
	Action Action `json:"action"`
}

// A Match selects requests. All conditions that are set must hold; none set matches every request.
type Match struct {
	// Contains is a text found in the body's bytes as they came.
	Contains string `json:"contains"`
	// Nth is the number of a request, counted from 1 over all inference requests of the engine.
	Nth int64 `json:"nth"`
	// From and To bound that number, both included; 0 leaves a side open.
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// Rate is the share of bodies, above 0 to 1, drawn from the seed and the body: the same body is struck each time
	// it is sent, unless Attempts says otherwise. Each rule draws for itself.
	Rate float64 `json:"rate"`
	// Attempts limits the rule to the first so many requests with the same body. The engine then remembers a hash of
	// every body that meets the other conditions.
	Attempts int `json:"attempts"`
	// Path is the request's path, with /v1.
	Path string `json:"path"`
	// Model is the body's model.
	Model string `json:"model"`
}

// An Action is what a rule does. Its fields are of four kinds, which combine; of the first two kinds at most one may
// be set.
//
//   - Endings, where no proper answer is sent: Hang, Crash, Stall, Redirect, and Pass, which sends the usual one.
//   - Content, in place of the engine's own answer: Body, JSON, Garbage, Error, Size, Nest, Bomb.
//   - Deformations of whatever is sent: Status, Headers, HeaderFlood, Gzip.
//   - Transport, at most one of: Reset, Length, Chunked, Drip.
//
// Without content, a Status of 400 or more sends an error object, and anything else the engine's own answer, which
// takes a seat and its time as always. Requests that get other content take no seat.
type Action struct {
	// Delay is waited before anything else.
	Delay time.Duration `json:"delay"`

	// Pass serves the request normally, so that an early rule can exempt it from later ones.
	Pass bool `json:"pass"`
	// Hang keeps the connection open and never answers, until the client leaves.
	Hang bool `json:"hang"`
	// Crash is how long the engine is down: this and all requests in flight are reset, and so is every new
	// one, for whatever path.
	Crash time.Duration `json:"crash"`
	// Stall waits before the request's body is read, so that a large upload finds the TCP window closed; then later
	// rules apply. It may be matched by nth, from, to and path only, and stands alone in its action.
	Stall time.Duration `json:"stall"`
	// Redirect is a Location, sent with Status or 307.
	Redirect string `json:"redirect"`

	// Body is sent as it is.
	Body *string `json:"body"`
	// JSON is sent as it is.
	JSON jsontext.Value `json:"json"`
	// Garbage is a kind of body that is no answer: see the Garbage constants.
	Garbage Garbage `json:"garbage"`
	// Error is the code of an error object, sent with Status or 200.
	Error string `json:"error"`
	// Size streams a valid JSON object of exactly so many bytes, at least 16.
	Size int64 `json:"size"`
	// Nest sends so many arrays within each other.
	Nest int `json:"nest"`
	// Bomb sends gzip that expands to a JSON object of at least so many bytes, at about 1 to 1000.
	Bomb int64 `json:"bomb"`

	// Status replaces the status.
	Status int `json:"status"`
	// Headers are set on the answer, in place of the usual ones of the same name.
	Headers map[string]string `json:"headers"`
	// HeaderFlood adds so many headers of 100 bytes.
	HeaderFlood int `json:"header_flood"`
	// Gzip compresses the answer, rightly or wrongly: see the Gzip constants.
	Gzip Gzip `json:"gzip"`

	// Reset cuts the connection at a point of the answer: see the Reset constants.
	Reset Reset `json:"reset"`
	// Length lies about Content-Length: see the Length constants.
	Length Length `json:"length"`
	// Chunked breaks the chunked encoding: see the Chunked constants.
	Chunked Chunked `json:"chunked"`
	// Drip sends the body slowly.
	Drip Drip `json:"drip"`
}

// Garbage is a kind of body that is no answer.
type Garbage string

// The kinds of garbage.
const (
	GarbageEmpty         Garbage = "empty"          // no byte
	GarbageNull          Garbage = "null"           // the JSON value null
	GarbageHTML          Garbage = "html"           // a proxy's error page
	GarbageText          Garbage = "text"           // plain text
	GarbageCutJSON       Garbage = "cut_json"       // JSON that stops in the middle, with a true length
	GarbageInvalidUTF8   Garbage = "invalid_utf8"   // a proper answer but for bytes that are not UTF-8
	GarbageLoneSurrogate Garbage = "lone_surrogate" // a proper answer with \ud800 in it
	GarbageDuplicate     Garbage = "duplicate_keys" // a proper answer with a member twice
)

// Gzip is what is done to an answer under `Content-Encoding: gzip`.
type Gzip string

// The uses of gzip.
const (
	GzipValid       Gzip = "valid"        // as it should be
	GzipTruncated   Gzip = "truncated"    // only the first half of the stream, with a true length
	GzipWrongHeader Gzip = "wrong_header" // the header is sent, but the body is not compressed
	GzipDouble      Gzip = "double"       // compressed twice, announced once
)

// Reset is the point at which a connection is cut.
type Reset string

// The points of a reset.
const (
	ResetBeforeHeaders Reset = "before_headers" // nothing was sent
	ResetAfterHeaders  Reset = "after_headers"  // the headers were sent, and no byte of the body
	ResetMidBody       Reset = "mid_body"       // half of the body was sent
	ResetAfterBody     Reset = "after_body"     // all of the body was sent, under its length; the answer is whole
)

// Length is a lie about Content-Length.
type Length string

// The lies about Content-Length.
const (
	LengthTruncated Length = "truncated" // true, but half of the body is sent before the connection closes
	LengthLong      Length = "long"      // 100 more than the whole body, which is sent
	LengthShort     Length = "short"     // half of the body, which is sent whole
	LengthNegative  Length = "negative"  // -1
	LengthDuplicate Length = "duplicate" // two, which differ
)

// Chunked is a break of the chunked encoding.
type Chunked string

// The breaks of the chunked encoding.
const (
	ChunkedUnterminated Chunked = "unterminated" // no final chunk before the connection closes
	ChunkedBadSize      Chunked = "bad_size"     // a second chunk whose size is no number
	ChunkedJunkTrailer  Chunked = "junk_trailer" // bytes that are no header after the final chunk
)

// Drip sends a body in pieces.
type Drip struct {
	// Bytes is the size of a piece.
	Bytes int `json:"bytes"`
	// Every is the time before each piece.
	Every time.Duration `json:"every"`
}

// ParseScript reads a script in JSON. The error names the rule, counted from 0, and the field.
func ParseScript(text []byte) (Script, error) {
	var s Script
	durations := json.UnmarshalFunc(func(text []byte, d *time.Duration) error {
		quoted, err := strconv.Unquote(string(text))
		if err != nil {
			return errors.New(`want a duration in quotes, like "250ms"`)
		}
		*d, err = time.ParseDuration(quoted)
		return err
	})
	err := json.Unmarshal(text, &s, json.RejectUnknownMembers(true), json.WithUnmarshalers(durations))
	if err != nil {
		return Script{}, fmt.Errorf("parse fault script: %w", describe(err))
	}
	if err := s.Validate(); err != nil {
		return Script{}, err
	}
	return s, nil
}

// describe turns a JSON error into one that speaks of rules and fields.
func describe(err error) error {
	semantic := (*json.SemanticError)(nil)
	if !errors.As(err, &semantic) {
		return err
	}
	where := strings.Builder{}
	for token := range semantic.JSONPointer.Tokens() {
		switch {
		case where.String() == "rules":
			where.Reset()
			where.WriteString("rule " + token)
		case where.Len() == 0:
			where.WriteString(token)
		default:
			sep := "."
			if strings.HasPrefix(where.String(), "rule ") && !strings.Contains(where.String(), ": ") {
				sep = ": "
			}
			where.WriteString(sep + token)
		}
	}
	cause := semantic.Err
	if cause == nil {
		cause = fmt.Errorf("a JSON %s does not fit here", semantic.JSONKind)
	}
	return fmt.Errorf("%s: %w", where.String(), cause)
}
