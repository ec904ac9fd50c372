package upstream

import (
	"context"
	"net/http"
	"regexp"

	"batchd/internal/limit"
)

// versioned is a path with the version of an API in it, as Zhipu's /api/paas/v4: nothing is missing there.
var versioned = regexp.MustCompile(`/v\d`)

// Finding is what speaks against an upstream, as far as asking for its models tells. The zero Finding is that nothing does,
// which need not mean that it works.
type Finding struct {
	// Condition says what would hold work up: unreachable, denied, account or misconfigured. Without a Reason nothing was found.
	limit.Condition
	// V1Missing is set when the address has no list of models and no /v1, and there is one below its /v1.
	V1Missing bool
}

// Inspect asks the upstream for its models, to find at once what would else show with the first batch. It changes nothing:
// neither what the upstream is known to serve nor whether it is called.
func (u *Upstream) Inspect(ctx context.Context) Finding {
	l := u.list(ctx, "/v1/models")
	switch {
	case l.err == nil:
		return Finding{}
	case l.signal.Status == 0:
		return Finding{Condition: u.found(limit.ReasonUnreachable, l.signal)}
	case l.signal.Status == http.StatusUnauthorized, l.signal.Status == http.StatusForbidden:
		return Finding{Condition: u.found(l.signal.Reason, l.signal)}
	case versioned.MatchString(u.base.Path):
		return Finding{}
	}
	if below := u.list(ctx, "/v1/v1/models"); below.err == nil {
		l.signal.Detail = "its URL lacks /v1"
		return Finding{Condition: u.found(limit.ReasonMisconfigured, l.signal), V1Missing: true}
	}
	if l.signal.Status != http.StatusNotFound {
		return Finding{}
	}
	// There are servers without /v1 and without a list, but far more base URLs that were cut short. Calls go out all the same.
	l.signal.Detail = "it has no list of models; is /v1 missing from its URL?"
	return Finding{Condition: u.found(limit.ReasonMisconfigured, l.signal)}
}

func (u *Upstream) found(reason limit.Reason, s limit.Signal) limit.Condition {
	return limit.Condition{
		Reason: reason, Detail: s.Detail, Since: u.now(), Status: s.Status, Code: s.Code, Message: s.Message,
	}
}
