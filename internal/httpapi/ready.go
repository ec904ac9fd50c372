package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/tenant"
)

// health is the body of /healthz and /readyz.
type health struct {
	Status   string   `json:"status"`
	Problems []string `json:"problems,omitempty"`
	Reasons  []string `json:"reasons,omitempty"`
}

// readiness answers anybody whether the server takes work. What else it answers depends on who asks.
type readiness struct {
	node Node
	auth tenant.Authenticator
	// local lets in who may know where the upstreams are besides the operator; nil for nobody.
	local tenant.Authenticator
}

// serve answers whether the server takes work: it does not while it is going down or can store nothing. What an
// upstream does is no reason to send no work here, and is told beside.
func (o readiness) serve(w http.ResponseWriter, r *http.Request) {
	state := o.node.Ready()
	if len(state.Problems) > 0 {
		writeHealth(w, http.StatusServiceUnavailable, health{Status: "not ready", Problems: state.Problems})
		return
	}
	reasons := slices.Clone(state.Reasons)
	if upstreams := o.heldUp(); len(state.Private)+len(upstreams) > 0 {
		who, err := o.auth.Authenticate(r)
		operator := err == nil && who.Operator
		if operator {
			reasons = append(reasons, state.Private...)
		}
		reasons = append(reasons, o.upstreamReasons(r, upstreams, operator)...)
	}
	writeHealth(w, http.StatusOK, health{Status: "ok", Reasons: reasons})
}

// held is an upstream, or a model of one, at which lines wait.
type held struct {
	u     batch.Upstream
	model string
	why   batch.Reason
	lines int64
}

// heldUp returns where lines wait.
func (o readiness) heldUp() []held {
	var all []held
	for _, u := range o.node.Upstreams() {
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
	return all
}

// upstreamReasons returns why lines wait at upstreams, as sentences. An operator is told all, who may know hosts is told
// where, and everybody else is told no host, no model and no count: they are other tenants' affairs.
func (o readiness) upstreamReasons(r *http.Request, all []held, operator bool) []string {
	hosts := operator
	if !hosts && o.local != nil {
		_, err := o.local.Authenticate(r)
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

// reasonText writes a reason as one line; an upstream's own words are for the operator.
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

func writeHealth(w http.ResponseWriter, status int, h health) {
	body, _ := json.Marshal(h) // strings always encode
	if h.Problems != nil || h.Reasons != nil {
		body, _ = json.MarshalIndent(h, "", "  ") // each on a line of its own
		body = append(body, '\n')
	}
	replyOf(w).json(status, body)
}
