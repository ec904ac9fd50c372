package sim

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What a request may say anywhere in its body where Options.ContentModes is set.
var (
	modeMark  = regexp.MustCompile(`MODE:([A-Za-z0-9_]+)`)
	delayMark = regexp.MustCompile(`DELAY:([0-9]{1,9})`)
	downMark  = regexp.MustCompile(`DOWN:([0-9]{1,9})`)
)

// modeCrash is the one mode that sends no answer.
const modeCrash = "crash"

// modeDown is how long the engine is down by a crash that does not say.
const modeDown = 20 * time.Second

// contentModes remembers what the modes must know of earlier requests.
type contentModes struct {
	mu     sync.Mutex // guards failed
	failed map[sent]bool
}

// sent is a request as the client sees it: the same again is a retry.
type sent struct {
	path string
	body identity
}

// byContent waits and answers as the body's text asks for, and reports whether that was an answer.
func (e *Engine) byContent(ctx context.Context, c *call) bool {
	if !e.opts.ContentModes {
		return false
	}
	if err := sleep(ctx, marked(delayMark, c.Body, 0)); err != nil {
		c.reset()
		return true
	}
	mode := modeMark.FindSubmatch(c.Body)
	if mode == nil {
		return false
	}
	e.metrics.faulted.Add(1)
	if name := string(mode[1]); name != modeCrash {
		c.send(e.modes.answer(name, c))
		return true
	}
	e.crash(marked(downMark, c.Body, modeDown))
	c.reset()
	return true
}

// marked reads a number of milliseconds from a body, or returns the time that holds without one.
func marked(mark *regexp.Regexp, body []byte, without time.Duration) time.Duration {
	found := mark.FindSubmatch(body)
	if found == nil {
		return without
	}
	ms, _ := strconv.Atoi(string(found[1])) // nine digits are a number
	return time.Duration(ms) * time.Millisecond
}

// answer is the answer of a name. A name that is unknown is answered 500, so that a mistake in a test is seen.
func (m *contentModes) answer(name string, c *call) reply {
	a, ok := modeAnswers[name]
	if !ok {
		a = modeAnswer{status: http.StatusInternalServerError, body: `{"error": "unknown mode ` + name + `"}`}
	}
	if a.once {
		s := sent{c.Path, c.id}
		m.mu.Lock()
		if m.failed[s] {
			a = modeAnswers["ok"]
		}
		m.failed[s] = true
		m.mu.Unlock()
	}
	rep := reply{status: a.status, header: make(http.Header), body: []byte(strings.Replace(a.body, "{id}", c.id.name("c-"), 1))}
	if a.header != "" {
		rep.header.Set(a.header, a.value)
	}
	return rep
}
