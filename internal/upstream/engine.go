package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"batchd/internal/limit"
)

const (
	// engineTimeout bounds one reading of an engine's metrics, maxEnginePage their length.
	engineTimeout = 2 * time.Second
	maxEnginePage = 1 << 20
)

// ErrNoEngineLoad says that an upstream shows no metrics, or none that are known here. It may do so later.
var ErrNoEngineLoad = errors.New("no known engine metrics")

// EngineLoad reads the engine's own metrics, at /metrics beside the /v1 of its address. It returns an error that wraps
// ErrNoEngineLoad if the upstream has no such page. It may be called at any time and does not ask for the key anew.
func (u *Upstream) EngineLoad(ctx context.Context) (limit.EngineLoads, error) {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	loads, err := u.readEngine(ctx)
	if err != nil {
		return limit.EngineLoads{}, fmt.Errorf("read engine metrics of upstream %s: %w", u.name, err)
	}
	return loads, nil
}

func (u *Upstream) readEngine(ctx context.Context) (limit.EngineLoads, error) {
	header := u.with(u.credential.held())
	header["Accept"] = []string{"text/plain"}
	resp, err := u.get(ctx, u.metricsPage(), header)
	if err != nil {
		return limit.EngineLoads{}, err
	}
	defer func() { _ = resp.Body.Close() }() // read-side close
	if resp.StatusCode != http.StatusOK {
		return limit.EngineLoads{}, fmt.Errorf("status %d: %w", resp.StatusCode, ErrNoEngineLoad)
	}
	body, done, err := u.decoder.open(resp.Header, resp.Body)
	if err != nil {
		return limit.EngineLoads{}, err
	}
	defer done()
	return parseEngine(&capped{r: body, left: maxEnginePage}, u.now())
}

// metricsPage returns where engines show their metrics.
func (u *Upstream) metricsPage() *url.URL {
	t := *u.base
	t.Path = strings.TrimSuffix(t.Path, "/v1") + "/metrics"
	t.RawPath = ""
	return &t
}
