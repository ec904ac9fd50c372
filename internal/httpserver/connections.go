package httpserver

import (
	"container/list"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// spare is how many connections more may be open while all others are at work on requests: so that somebody who asks
	// whether the server lives, which takes no time, is answered, and everybody else is told to come back.
	spare = 8
	// youth is how long a connection may take to send a request before it may be closed to make room: the request of a client
	// that is not far away is there already when its connection is accepted, but has to be read.
	youth = 50 * time.Millisecond
	// lookAt is how many connections are looked at for one that nothing has come over.
	lookAt = 64
	// tellEvery is how often the log is told that connections are closed to make room.
	tellEvery = time.Minute
)

// Limits bounds connections.
type Limits struct {
	// Max is how many may be open at once; at least 1.
	Max int
	// PerAddress is how many of them may come from one address; 0 for any number. Clients behind a proxy share one.
	PerAddress int
	// Closed, if set, is called after a connection was closed to make room for another. It must not block.
	Closed func()
	Logger *slog.Logger
	Now    func() time.Time
}

// Connections are the connections that the servers of a process have open together. When there are as many as may be, the
// one that has been without a request for the longest is closed for each that comes: one that is idle between two requests, has
// sent part of one, or nothing at all. One that a request is being answered on is never closed. It may be used concurrently.
type Connections struct {
	limits Limits

	// mu guards following fields, and those of every conn. Nothing is closed and nobody is called while it is held.
	mu   sync.Mutex
	open int
	// busy is how many of them have a request that is being answered; waiting has the others, the longest without one first.
	busy    int
	waiting list.List
	// addresses counts the open ones by where they come from, if that is bounded.
	addresses map[string]int
	// freed is closed when a connection was closed or has become one that may be; nil while nobody waits for that.
	freed chan struct{}
	// closed counts those closed to make room since the log was told, at told.
	closed int
	told   time.Time
}

// NewConnections returns the bounds for servers that are yet to run, with no connection open.
func NewConnections(l Limits) *Connections {
	if l.Closed == nil {
		l.Closed = func() {}
	}
	return &Connections{limits: l, addresses: make(map[string]int)}
}

// Open returns how many connections there are.
func (s *Connections) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// admit makes room for a connection and returns it as one of ours; nil if its address has too many, or if stop was closed before
// there was room. It is closed then.
func (s *Connections) admit(raw net.Conn, stop <-chan struct{}) *conn {
	c := &conn{Conn: raw, all: s}
	if s.limits.PerAddress > 0 {
		c.address = hostOf(raw.RemoteAddr())
	}
	for {
		c.since = s.limits.Now()
		s.mu.Lock()
		victim, added := s.placeLocked(c)
		if !added && victim == nil && s.freed == nil {
			s.freed = make(chan struct{})
		}
		freed := s.freed
		s.mu.Unlock()
		switch {
		case added:
			return c
		case victim != nil:
			s.makeRoom(victim)
			if victim == c {
				return nil
			}
			continue
		}
		select {
		case <-freed:
		case <-time.After(youth): // by then those that ask nothing are old enough
		case <-stop:
			_ = raw.Close() // nothing was said on it
			return nil
		}
	}
}

// placeLocked adds a connection, or returns the one that has to be closed first, which may be itself; neither if it has to wait
// for the others.
func (s *Connections) placeLocked(c *conn) (victim *conn, added bool) {
	if c.address != "" && s.addresses[c.address] >= s.limits.PerAddress {
		for e := s.waiting.Front(); e != nil; e = e.Next() {
			if other := connOf(e); other.address == c.address {
				s.removeLocked(other)
				return other, false
			}
		}
		c.closed = true
		return c, false
	}
	if s.open >= s.limits.Max {
		if victim = s.longestLocked(c.since); victim != nil {
			s.removeLocked(victim)
			return victim, false
		}
		if s.open >= s.limits.Max+spare {
			return nil, false
		}
	}
	s.open++
	if c.address != "" {
		s.addresses[c.address]++
	}
	c.element = s.waiting.PushBack(c)
	return nil, true
}

// longestLocked returns the connection that has been without a request for the longest, of those that are no more so young that
// one may be on its way, and on which none has arrived; nil if there is none.
func (s *Connections) longestLocked(now time.Time) *conn {
	looked := 0
	for e := s.waiting.Front(); e != nil && looked < lookAt; e = e.Next() {
		c := connOf(e)
		if now.Sub(c.since) < youth {
			return nil // so are those behind it
		}
		if c.reading.Load() && !unread(c.Conn) {
			return c
		}
		looked++
	}
	return nil
}

// relieve closes the connection that has been without a request for the longest, if there is one.
func (s *Connections) relieve() {
	now := s.limits.Now()
	s.mu.Lock()
	victim := s.longestLocked(now)
	if victim != nil {
		s.removeLocked(victim)
	}
	s.mu.Unlock()
	if victim != nil {
		s.makeRoom(victim)
	}
}

// makeRoom closes a connection that is among the open ones no more.
func (s *Connections) makeRoom(victim *conn) {
	_ = victim.Conn.Close() // whoever reads from it learns by that
	s.limits.Closed()
	now := s.limits.Now()
	s.mu.Lock()
	s.closed++
	tell := now.Sub(s.told) >= tellEvery
	open, closed := s.open, s.closed
	if tell {
		s.told, s.closed = now, 0
	}
	s.mu.Unlock()
	if tell {
		s.limits.Logger.Warn("connections without a request are closed to make room for new ones", "connections", open, "closed", closed)
	}
}

// removeLocked takes a connection out, once.
func (s *Connections) removeLocked(c *conn) {
	if c.closed {
		return
	}
	c.closed = true
	s.open--
	if c.element != nil {
		s.waiting.Remove(c.element)
		c.element = nil
	} else {
		s.busy--
	}
	if c.address != "" {
		if s.addresses[c.address]--; s.addresses[c.address] == 0 {
			delete(s.addresses, c.address)
		}
	}
	s.freedLocked()
}

// freedLocked wakes those that wait for room.
func (s *Connections) freedLocked() {
	if s.freed != nil {
		close(s.freed)
		s.freed = nil
	}
}

// conn is a connection that counts.
type conn struct {
	net.Conn
	all     *Connections
	address string
	// element is its place among those that wait for a request, since when it does; nil while one is answered on it. closed is
	// set once it counts no more.
	element *list.Element
	since   time.Time
	closed  bool
	// reading is set while the server waits for bytes; else it has some to look at, or has not come to it yet.
	reading atomic.Bool
}

func connOf(e *list.Element) *conn {
	return e.Value.(*conn) //nolint:errcheck // nothing else is in the list
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	c.reading.Store(true)
	defer c.reading.Store(false)
	return c.Conn.Read(p)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.all.mu.Lock()
	c.all.removeLocked(c)
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite ends what is sent, so that an answer is read by a client that is still sending. The server asks for it.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// begin notes that a request is being answered. ok is false if the connection was closed meanwhile; crowded says that more
// are being answered than there should be connections.
func (c *conn) begin() (ok, crowded bool) {
	s := c.all
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.closed {
		return false, false
	}
	if c.element != nil {
		s.waiting.Remove(c.element)
		c.element = nil
		s.busy++
	}
	return true, s.busy > s.limits.Max
}

// idle notes that the connection waits for its next request.
func (c *conn) idle() {
	s := c.all
	now := s.limits.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.closed || c.element != nil {
		return
	}
	s.busy--
	c.since = now
	c.element = s.waiting.PushBack(c)
	s.freedLocked()
}

// counted returns the connection of ours that carries a server's, nil if there is none.
func counted(c net.Conn) *conn {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	own, _ := c.(*conn)
	return own
}

func hostOf(a net.Addr) string {
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		return host
	}
	return a.String()
}

// Keys of what a request's context carries.
type (
	connKey    struct{}
	crowdedKey struct{}
)

// Crowded reports whether the request of a context came over one of the connections that are kept for those who ask how the
// server is: all others are at work. A request that takes time should be refused then.
func Crowded(ctx context.Context) bool { return ctx.Value(crowdedKey{}) != nil }

// watch makes a server tell the connections of ours what it does on them.
func watch(s *http.Server) {
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, counted(c))
	}
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if own := counted(c); own != nil && state == http.StateIdle {
			own.idle()
		}
	}
	next := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own, _ := r.Context().Value(connKey{}).(*conn)
		if own == nil {
			next.ServeHTTP(w, r)
			return
		}
		ok, crowded := own.begin()
		if !ok {
			panic(http.ErrAbortHandler) // nobody could be answered, so nothing may be done
		}
		if crowded {
			w.Header().Set("Connection", "close")
			r = r.WithContext(context.WithValue(r.Context(), crowdedKey{}, true))
		}
		next.ServeHTTP(w, r)
	})
}
