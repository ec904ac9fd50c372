package sim_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/sim"
)

// testdata/modes.txt was written by another program that gives these answers: name, status and headers that are not the
// usual ones, then the body.
func TestARequestPicksItsAnswerByName(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/modes.txt")
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, sim.Options{ContentModes: true, Models: []string{"another"}})
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := 0; i < len(lines); i += 2 {
		name, _, _ := strings.Cut(lines[i], " ")
		w := post(e, "/v1/embeddings", `{"model":"m","metadata":"see MODE:`+name+`, please"}`)
		got := fmt.Sprintf("%s %d", name, w.Code)
		for _, header := range []string{"Content-Type", "Retry-After", "Retry-After-Ms"} {
			if v := w.Header().Get(header); v != "" && v != "application/json" {
				got += " " + header + ": " + v
			}
		}
		body := w.Body.String()
		if id, found := strings.CutPrefix(body, `{"id": "c-`); found {
			_, rest, _ := strings.Cut(id, `"`)
			body = `{"id": "c-0"` + rest
		}
		if d := cmp.Diff(lines[i]+"\n"+lines[i+1], got+"\n  "+body); d != "" {
			t.Errorf("answer (-want +got):\n%s", d)
		}
	}
	if got, want := e.Stats().Faulted, int64(len(lines)/2); got != want {
		t.Errorf("%d requests counted as faulted, want %d", got, want)
	}
}

func TestContentChoosesNothingUnlessAsked(t *testing.T) {
	t.Parallel()
	inBubble(t, sim.Options{}, func(t *testing.T, _ *sim.Engine, client *http.Client) {
		start := time.Now()
		res, err := client.Post(chatURL, "application/json", strings.NewReader(chatBody("DELAY:5000 MODE:ctx500 MODE:crash")))
		if err != nil {
			t.Fatal(err)
		}
		if drain(res); res.StatusCode != http.StatusOK || time.Since(start) != 0 {
			t.Errorf("status %d after %v, want 200 at once", res.StatusCode, time.Since(start))
		}
	})
}

func TestAModeThatFailsOnceFailsEachRequestOnce(t *testing.T) {
	t.Parallel()
	e := newEngine(t, sim.Options{ContentModes: true})
	for i, c := range []struct {
		path, text string
		want       int
	}{
		{"/v1/chat/completions", "a", 424},
		{"/v1/chat/completions", "b", 424},
		{"/v1/completions", "a", 424},
		{"/v1/chat/completions", "a", 200},
		{"/v1/chat/completions", "a", 200},
	} {
		if got := post(e, c.path, chatBody("MODE:tgi424once "+c.text)).Code; got != c.want {
			t.Errorf("call %d = %d, want %d", i, got, c.want)
		}
	}
}

func TestContentDelaysItsAnswer(t *testing.T) {
	t.Parallel()
	inBubble(t, sim.Options{ContentModes: true, Seats: 1, Base: time.Second}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		for text, want := range map[string]time.Duration{
			"DELAY:1500 MODE:ok": 1500 * time.Millisecond,
			"DELAY:1500":         2500 * time.Millisecond,
			"DELAY:x MODE:ok":    0,
		} {
			start := time.Now()
			res, err := client.Post(chatURL, "application/json", strings.NewReader(chatBody(text)))
			if err != nil {
				t.Fatal(err)
			}
			if drain(res); res.StatusCode != http.StatusOK || time.Since(start) != want {
				t.Errorf("%q: status %d after %v, want 200 after %v", text, res.StatusCode, time.Since(start), want)
			}
		}
	})
}

func TestContentCrashesTheEngine(t *testing.T) {
	t.Parallel()
	for text, down := range map[string]time.Duration{"MODE:crash": 20 * time.Second, "DELAY:1000 MODE:crash DOWN:3000": 3 * time.Second} {
		inBubble(t, sim.Options{ContentModes: true, Base: time.Minute}, func(t *testing.T, e *sim.Engine, client *http.Client) {
			call := func(text string) error {
				res, err := client.Post(chatURL, "application/json", strings.NewReader(chatBody(text)))
				if err == nil {
					drain(res)
				}
				return err
			}
			bystander := make(chan error, 1)
			go func() { bystander <- call("innocent") }() // joined by the receive below
			synctest.Wait()
			if call(text) == nil || <-bystander == nil {
				t.Errorf("%q: a call was answered", text)
			}
			time.Sleep(down - time.Millisecond)
			if call("MODE:ok") == nil {
				t.Errorf("%q: the engine is up too early", text)
			}
			time.Sleep(time.Millisecond)
			if err := call("MODE:ok"); err != nil {
				t.Errorf("%q: after the outage: %v", text, err)
			}
		})
	}
}

func TestThePageOfSimHasEveryMode(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/sim.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/modes.txt")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if name, _, _ := strings.Cut(line, " "); i%2 == 0 && name != "nosuchmode" && !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/sim.md lacks the mode %s", name)
		}
	}
}
