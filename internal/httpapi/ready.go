package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"batchd/internal/batch"
)

// ready answers whether the server takes work: it does not while it is going down or can store nothing. What an
// upstream does is no reason to send no work here, and is told beside.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	state := s.Node.Ready()
	if len(state.Problems) > 0 {
		writeHealth(w, http.StatusServiceUnavailable, health{Status: "not ready", Problems: state.Problems})
		return
	}
	reasons := append(slices.Clone(state.Reasons), s.upstreamReasons(r)...)
	writeHealth(w, http.StatusOK, health{Status: "ok", Reasons: reasons})
}

// upstreamReasons returns why lines wait at upstreams, as sentences.
func (s *server) upstreamReasons(r *http.Request) []string {
	type held struct {
		u     batch.Upstream
		model string
		why   batch.Reason
		lines int64
	}
	var all []held
	for _, u := range s.Node.Upstreams() {
		if u.Reason.Kind != "" {
			all = append(all, held{u: u, why: u.Reason})
			continue
		}
		for _, g := range u.Gates {
			if g.Reason.Kind != "" {
				all = append(all, held{u, g.Model, g.Reason, g.Waiting})
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	who, err := s.Auth.Authenticate(r)
	operator := err == nil && who.Operator
	hosts := operator
	if !hosts && s.Local != nil {
		_, err = s.Local.Authenticate(r)
		hosts = err == nil
	}
	var told []string
	for _, h := range all {
		text := h.u.Name
		if hosts {
			text += " at " + h.u.Host
			if h.model != "" {
				text += fmt.Sprintf(", model %.64q", h.model)
			}
		}
		text += ": " + reasonText(h.why, operator)
		if hosts && h.lines > 0 {
			text += fmt.Sprintf("; %d lines wait", h.lines)
		}
		if !slices.Contains(told, text) {
			told = append(told, text)
		}
	}
	return told
}

// reasonText says a reason in a line; an upstream's own words are for the operator.
func reasonText(why batch.Reason, operator bool) string {
	var b strings.Builder
	b.WriteString(why.Kind)
	if why.Detail != "" {
		fmt.Fprintf(&b, " (%s)", why.Detail)
	}
	if why.Status != 0 {
		fmt.Fprintf(&b, ", it answers %d", why.Status)
	}
	if why.Code != "" {
		b.WriteString(" " + why.Code)
	}
	if operator && why.Message != "" {
		b.WriteString(": " + why.Message)
	}
	if !why.Since.IsZero() {
		b.WriteString("; since " + why.Since.UTC().Format(time.RFC3339))
	}
	return b.String()
}
