package sim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Validate reports the first fault of the script, naming the rule, counted from 0, and the field.
func (s Script) Validate() error {
	for i, r := range s.Rules {
		if field, what := r.fault(); field != "" {
			return fmt.Errorf("rule %d: %s: %s", i, field, what)
		}
	}
	return nil
}

// fault returns the first field that is wrong, and what is wrong with it.
func (r Rule) fault() (field, what string) {
	if r.Times < 0 {
		return "times", "below 0"
	}
	if field, what := r.Match.fault(); field != "" {
		return "match." + field, what
	}
	if field, what := r.Action.fault(); field != "" {
		return "action." + field, what
	}
	early := r.Match
	early.Nth, early.From, early.To, early.Path = 0, 0, 0, ""
	if r.Action.Stall > 0 && early != (Match{}) {
		return "action.stall", "only nth, from, to and path can be matched before the body is read"
	}
	return "", ""
}

func (m Match) fault() (field, what string) {
	switch {
	case m.Nth < 0:
		return "nth", "below 0"
	case m.From < 0:
		return "from", "below 0"
	case m.To < 0:
		return "to", "below 0"
	case m.To > 0 && m.To < m.From:
		return "to", "below from"
	case m.Rate < 0 || m.Rate > 1:
		return "rate", "not within 0 and 1"
	case m.Attempts < 0:
		return "attempts", "below 0"
	case m.Path != "" && !strings.HasPrefix(m.Path, "/"):
		return "path", "does not begin with /"
	}
	return "", ""
}

// A named condition is a field that is set, or one that is wrong.
type named struct {
	name string
	is   bool
}

// chosen returns the names of the fields that are set.
func chosen(fields []named) (names []string) {
	for _, f := range fields {
		if f.is {
			names = append(names, f.name)
		}
	}
	return names
}

// endings returns the fields that are set of those by which no proper answer is sent.
func (a Action) endings() []string {
	return chosen([]named{
		{"pass", a.Pass}, {"hang", a.Hang}, {"crash", a.Crash != 0}, {"stall", a.Stall != 0}, {"redirect", a.Redirect != ""},
	})
}

// fault returns the first field that is wrong by itself or beside the others: the four kinds of fields combine as Action says.
func (a Action) fault() (field, what string) {
	if field, what := a.badValue(); field != "" {
		return field, what
	}
	exclusive := slices.Concat(a.endings(), chosen([]named{
		{"body", a.Body != nil},
		{"json", a.JSON != nil},
		{"garbage", a.Garbage != ""},
		{"error", a.Error != ""},
		{"size", a.Size != 0},
		{"nest", a.Nest != 0},
		{"bomb", a.Bomb != 0},
	}))
	transports := chosen([]named{
		{"reset", a.Reset != ""}, {"length", a.Length != ""}, {"chunked", a.Chunked != ""}, {"drip", a.Drip != (Drip{})},
	})
	rest := slices.Concat(chosen([]named{
		{"status", a.Status != 0}, {"headers", len(a.Headers) > 0}, {"header_flood", a.HeaderFlood != 0}, {"gzip", a.Gzip != ""},
	}), transports)
	switch {
	case len(exclusive) > 1:
		return exclusive[1], "cannot be combined with " + exclusive[0]
	case len(transports) > 1:
		return transports[1], "cannot be combined with " + transports[0]
	case len(a.endings()) > 0 && a.Redirect == "" && len(rest) > 0:
		return rest[0], "cannot be combined with " + exclusive[0]
	case a.Stall != 0 && a.Delay != 0:
		return "delay", "cannot be combined with stall"
	case a.Size+a.Bomb != 0 && a.Gzip != "":
		return "gzip", "cannot be combined with " + exclusive[0]
	case a.Size+a.Bomb != 0 && len(transports) > 0:
		return transports[0], "cannot be combined with " + exclusive[0]
	case len(exclusive)+len(rest) == 0 && a.Delay == 0:
		return "pass", "the action does nothing; say \"pass\": true if that is meant"
	}
	return "", ""
}

// badValue looks at each field by itself.
func (a Action) badValue() (field, what string) {
	wrong := chosen([]named{
		{"delay", a.Delay < 0},
		{"crash", a.Crash < 0},
		{"stall", a.Stall < 0},
		{"nest", a.Nest < 0 || a.Nest > 1<<24},
		{"size", a.Size < 0 || a.Size > 0 && a.Size < minSize},
		{"bomb", a.Bomb < 0},
		{"header_flood", a.HeaderFlood < 0 || a.HeaderFlood > 1<<20},
		{"status", a.Status != 0 && (a.Status < 200 || a.Status > 999)},
		{"json", a.JSON != nil && !a.JSON.IsValid()},
	})
	if len(wrong) > 0 {
		return wrong[0], "out of range"
	}
	for _, f := range []struct {
		name, value string
		known       []string
	}{
		{"garbage", string(a.Garbage), []string{"empty", "null", "html", "text", "cut_json", "invalid_utf8", "lone_surrogate", "duplicate_keys"}},
		{"gzip", string(a.Gzip), []string{"valid", "truncated", "wrong_header", "double"}},
		{"reset", string(a.Reset), []string{"before_headers", "after_headers", "mid_body", "after_body"}},
		{"length", string(a.Length), []string{"truncated", "long", "short", "negative", "duplicate"}},
		{"chunked", string(a.Chunked), []string{"unterminated", "bad_size", "junk_trailer"}},
	} {
		if f.value != "" && !slices.Contains(f.known, f.value) {
			return f.name, fmt.Sprintf("%q is not one of %s", f.value, strings.Join(f.known, ", "))
		}
	}
	if a.Drip != (Drip{}) && (a.Drip.Bytes < 1 || a.Drip.Every <= 0) {
		return "drip", "bytes and every must both be above 0"
	}
	for k, v := range a.Headers {
		// What would break a message that is written by hand. Content-Length has a field of its own.
		if k == "" || strings.ContainsAny(k, " \t\r\n:") || strings.ContainsAny(v, "\r\n") || http.CanonicalHeaderKey(k) == "Content-Length" {
			return "headers", fmt.Sprintf("%q is not a header that can be sent", k)
		}
	}
	return "", ""
}
