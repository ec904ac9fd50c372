package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/config"
	"batchd/internal/httpserver"
	"batchd/internal/sim"
)

// stopping is a server in memory that is told to stop.
type stopping struct {
	t       *testing.T
	network *sim.Network
	end     context.CancelCauseFunc
	// ended gets what the server returned.
	ended chan error
}

// serveInMemory runs a whole server within a bubble.
func serveInMemory(t *testing.T, delay time.Duration) *stopping {
	t.Helper()
	cfg := config.Default()
	cfg.ShutdownDelay = delay
	return serveUnder(t, cfg, time.Now)
}

// serveUnder is serveInMemory with settings and a wall clock.
func serveUnder(t *testing.T, cfg config.Config, wall func() time.Time) *stopping {
	t.Helper()
	cfg.DataDir = filepath.Join(t.TempDir(), "data")
	cfg.Upstreams = []config.Upstream{{URL: config.Simulator, Concurrency: 1}}
	ctx, end := context.WithCancelCause(context.Background())
	logger := slog.New(slog.DiscardHandler)
	e, err := open(ctx, cfg, logger, logger, wall)
	if err != nil {
		t.Fatal(err)
	}
	s := &stopping{t: t, network: sim.NewNetwork(), end: end, ended: make(chan error, 1)}
	go func() {
		api := httpserver.New(s.network, httpserver.Options{Handler: e.handler(e.anyone())})
		s.ended <- errors.Join(e.serve(ctx, []*httpserver.Server{api}), e.Close())
	}()
	return s
}

// get makes a call over a new connection; no status means that there is nobody to connect to.
func (s *stopping) get(path string) (status int, body string) {
	s.t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.send(request)
}

// send is get for any request.
func (s *stopping) send(request *http.Request) (status int, body string) {
	s.t.Helper()
	transport := &http.Transport{DialContext: s.network.DialContext, DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait() // until the server, too, holds the call for ended: a stop waits for what it does not
	return response.StatusCode, string(raw)
}

// wantEnd fails the test unless the server has ended by now, or has not.
func (s *stopping) wantEnd(ended bool) {
	s.t.Helper()
	synctest.Wait()
	select {
	case err := <-s.ended:
		if !ended || err != nil {
			s.t.Errorf("the server ended with %v", err)
		}
	default:
		if ended {
			s.t.Error("the server goes on")
			if err := <-s.ended; err != nil {
				s.t.Error(err)
			}
		}
	}
}

func TestListenersOutliveReadinessByTheDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const delay = 10 * time.Second
		s := serveInMemory(t, delay)
		if status, body := s.get("/readyz"); status != http.StatusOK {
			t.Fatalf("before the stop: %d %s", status, body)
		}
		s.end(nil)
		synctest.Wait()
		for range 2 {
			if status, body := s.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "shutting down") {
				t.Errorf("while it stops: readiness is %d %s", status, body)
			}
			if status, body := s.get("/v1/files"); status != http.StatusOK {
				t.Errorf("while it stops: files are %d %s", status, body)
			}
			s.wantEnd(false)
			time.Sleep(delay / 2)
		}
		s.wantEnd(true)
		if status, body := s.get("/healthz"); status != 0 {
			t.Errorf("after the delay: %d %s", status, body)
		}
	})
}

func TestWithoutADelayListenersCloseAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serveInMemory(t, 0)
		s.get("/readyz")
		s.end(nil)
		s.wantEnd(true)
	})
}

func TestAFailureIsNotDelayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serveInMemory(t, 10*time.Second)
		s.get("/readyz")
		broken := errors.New("the disk is gone")
		s.end(broken)
		synctest.Wait()
		select {
		case err := <-s.ended:
			if !errors.Is(err, broken) {
				t.Errorf("the server ended with %v", err)
			}
		default:
			t.Error("the server goes on")
			if err := <-s.ended; err != nil {
				s.t.Error(err)
			}
		}
	})
}
