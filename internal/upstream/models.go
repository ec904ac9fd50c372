package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"batchd/internal/limit"
)

const (
	// modelsTimeout bounds one reading of a list of models.
	modelsTimeout = 10 * time.Second
	maxModelsBody = 4 << 20
)

// models is what an upstream is known to serve.
type models struct {
	// configured says that the operator gave the list, so that nobody needs to be asked.
	configured bool
	// sole says that there is no other upstream: its list is for showing only.
	sole bool
	// listed is nil while no list could be read.
	listed atomic.Pointer[[]string]
}

// set stores a list in order of name.
func (m *models) set(names []string) {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	m.listed.Store(&names)
}

// Models returns the names of the models that the upstream serves, in order, and whether they are known.
func (u *Upstream) Models() ([]string, bool) {
	names := u.models.listed.Load()
	if names == nil {
		return nil, false
	}
	return slices.Clone(*names), true
}

// Serves reports whether the upstream serves a model, which may be named otherwise than in its list: see matchModel. One
// whose list could not be read may serve any. A sole upstream is asked for anything, since it knows best what it serves, by
// aliases too; only a list that the operator made binds it.
func (u *Upstream) Serves(model string) bool {
	names := u.models.listed.Load()
	if names == nil || u.models.sole && !u.models.configured {
		return true
	}
	_, found := matchModel(*names, model)
	return found
}

// nameOf returns the name by which to ask the upstream for a model. A sole upstream is asked by the name as written.
func (u *Upstream) nameOf(model string) string {
	names := u.models.listed.Load()
	if names == nil || u.models.sole && !u.models.configured {
		return model
	}
	name, _ := matchModel(*names, model)
	return name
}

// RefreshModels asks the upstream which models it serves, unless the operator has said so. On an error the last list
// that could be read stays.
func (u *Upstream) RefreshModels(ctx context.Context) error {
	if u.models.configured {
		return nil
	}
	l := u.list(ctx, "/v1/models")
	if l.err != nil {
		return fmt.Errorf("list models of upstream %s: %w", u.name, l.err)
	}
	u.models.set(l.names)
	return nil
}

// listed is what came of asking for a list of models.
type listed struct {
	names []string
	// signal is what an answer that is no list means; its Status is 0 if nothing answered.
	signal limit.Signal
	// err is why there is no list.
	err error
}

// list asks for the models at a path of the upstream.
func (u *Upstream) list(ctx context.Context, path string) listed {
	ctx, cancel := context.WithTimeout(ctx, modelsTimeout)
	defer cancel()
	resp, err := u.get(ctx, u.target(path), u.authorized(ctx))
	if err != nil {
		return listed{err: err, signal: limit.Signal{Detail: unreachable(err)}}
	}
	defer func() { _ = resp.Body.Close() }() // read-side close
	l := listed{signal: limit.Signal{Status: resp.StatusCode}}
	body, done, err := u.decoder.open(resp.Header, resp.Body)
	if err != nil {
		l.err = err
		return l
	}
	defer done()
	if resp.StatusCode == http.StatusOK {
		l.names, l.err = readModels(&capped{r: body, left: maxModelsBody})
		return l
	}
	l.err = fmt.Errorf("status %d", resp.StatusCode)
	if c, err := u.bodies.read(io.LimitReader(body, chunk-1)); err == nil { // so much stays in memory
		l.signal = judge(resp.StatusCode, c, "")
	}
	return l
}

// get asks for a page of the upstream. It takes over the header.
func (u *Upstream) get(ctx context.Context, target *url.URL, header http.Header) (*http.Response, error) {
	delete(header, "Content-Type")
	req := &http.Request{
		Method: http.MethodGet, URL: target, Host: u.base.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
	}
	return u.transport.RoundTrip(req.WithContext(ctx))
}

// readModels reads OpenAI's list object. A list without any model is no list: an engine that has not loaded its
// model yet must not make every request invalid.
func readModels(r io.Reader) ([]string, error) {
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.NewDecoder(r).Decode(&list); err != nil {
		return nil, fmt.Errorf("read list: %w", err)
	}
	names := make([]string, 0, len(list.Data))
	for _, m := range list.Data {
		if m.ID != "" {
			names = append(names, m.ID)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("no model in the list")
	}
	return names, nil
}
