package httpserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"batchd/internal/httpserver"
)

// site is a server on a real socket, whose /wait answers once release is closed.
type site struct {
	t           *testing.T
	address     string
	connections *httpserver.Connections
	closed      atomic.Int64
	waiting     atomic.Int64
	crowded     atomic.Int64
	release     chan struct{}
}

func newSite(t *testing.T, wrap func(net.Listener) net.Listener, limits httpserver.Limits) *site {
	t.Helper()
	s := &site{t: t, release: make(chan struct{})}
	limits.Closed = func() { s.closed.Add(1) }
	limits.Logger, limits.Now = slog.New(slog.DiscardHandler), time.Now
	s.connections = httpserver.NewConnections(limits)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if httpserver.Crowded(r.Context()) {
			s.crowded.Add(1)
		}
		_, _ = io.WriteString(w, "alive")
	})
	mux.HandleFunc("/wait", func(w http.ResponseWriter, _ *http.Request) {
		s.waiting.Add(1)
		defer s.waiting.Add(-1)
		<-s.release
		_, _ = io.WriteString(w, "done")
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	server := httpserver.New(wrap(l), httpserver.Options{Handler: mux, Connections: s.connections})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Run(ctx, 0, time.Second); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	return s
}

func plain(l net.Listener) net.Listener { return l }

// dial opens a connection and sends text on it.
func (s *site) dial(text string) net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_, _ = io.WriteString(c, text) // it may have been closed already
	return c
}

const get = "GET %s HTTP/1.1\r\nHost: x\r\n\r\n"

// answer reads an answer off a connection, at the latest after ten seconds.
func answer(c net.Conn) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// want asks for a path over a connection of its own.
func (s *site) want(path, body string) {
	s.t.Helper()
	if got, err := answer(s.dial(fmt.Sprintf(get, path))); got != body || err != nil {
		s.t.Fatalf("%s: got %q, %v, want %q", path, got, err, body)
	}
}

// gone reports whether the server has closed a connection, within ten seconds.
func gone(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := c.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "timeout")
}

// open reports whether a connection is still open.
func open(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within ten seconds", what)
		}
	}
}

func TestTheLongestWithoutARequestMakesRoom(t *testing.T) {
	t.Parallel()
	const most = 6
	s := newSite(t, plain, httpserver.Limits{Max: most})
	var busy net.Conn
	for range most - 3 {
		busy = s.dial(fmt.Sprintf(get, "/wait"))
	}
	until(t, "requests are at work", func() bool { return s.waiting.Load() == most-3 })
	silent := s.dial("")
	until(t, "accepted", func() bool { return s.connections.Open() == most-2 })
	half := s.dial("GET / HTTP/1.1\r\nHo")
	until(t, "accepted", func() bool { return s.connections.Open() == most-1 })
	kept := s.dial(fmt.Sprintf(get, "/"))
	if got, err := answer(kept); got != "alive" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	for i, c := range []net.Conn{silent, half, kept} {
		<-time.After(httpserver.Youth)
		for _, later := range []net.Conn{half, kept}[min(i, 2):] {
			if !open(later) {
				t.Fatalf("connection %d is closed before its turn", i)
			}
		}
		s.want("/", "alive")
		if !gone(c) {
			t.Errorf("connection %d is still open", i)
		}
		if n := s.closed.Load(); n != int64(i+1) {
			t.Errorf("%d connections were closed, want %d", n, i+1)
		}
	}
	for range 20 * most { // a flood
		s.dial("")
	}
	s.want("/", "alive")
	if n := s.connections.Open(); n > most+httpserver.Spare {
		t.Errorf("%d connections are open, want at most %d", n, most+httpserver.Spare)
	}
	close(s.release)
	if got, err := answer(busy); got != "done" || err != nil {
		t.Errorf("a request at work got %q, %v", got, err)
	}
}

func TestWhileAllAreAtWorkSomeAreTold(t *testing.T) {
	t.Parallel()
	const most = 3
	s := newSite(t, plain, httpserver.Limits{Max: most})
	for range most {
		s.dial(fmt.Sprintf(get, "/wait"))
	}
	until(t, "all are at work", func() bool { return s.waiting.Load() == most })
	if s.crowded.Load() != 0 {
		t.Error("crowded before it is")
	}
	for range 3 * httpserver.Spare { // those that ask nothing keep nobody from it
		s.dial("")
		s.want("/", "alive")
	}
	if n := s.crowded.Load(); n != 3*httpserver.Spare {
		t.Errorf("%d requests were told that it is crowded, want %d", n, 3*httpserver.Spare)
	}
	for range httpserver.Spare {
		s.dial(fmt.Sprintf(get, "/wait"))
	}
	until(t, "no room is left", func() bool { return s.waiting.Load() == most+httpserver.Spare })
	late := s.dial(fmt.Sprintf(get, "/"))
	if !open(late) || s.connections.Open() != most+httpserver.Spare {
		t.Errorf("%d connections are open", s.connections.Open())
	}
	close(s.release)
	if got, err := answer(late); got != "alive" || err != nil {
		t.Errorf("once there is room: %q, %v", got, err)
	}
}

func TestAnAddressHasItsShare(t *testing.T) {
	t.Parallel()
	s := newSite(t, plain, httpserver.Limits{Max: 100, PerAddress: 3})
	first := s.dial("")
	until(t, "accepted", func() bool { return s.connections.Open() == 1 })
	s.dial(fmt.Sprintf(get, "/wait"))
	s.dial(fmt.Sprintf(get, "/wait"))
	until(t, "two are at work", func() bool { return s.waiting.Load() == 2 })
	third := s.dial(fmt.Sprintf(get, "/wait"))
	until(t, "three are at work", func() bool { return s.waiting.Load() == 3 })
	if !gone(first) || s.closed.Load() != 1 {
		t.Errorf("%d were closed, and not the first", s.closed.Load())
	}
	if !gone(s.dial(fmt.Sprintf(get, "/"))) || s.connections.Open() != 3 {
		t.Errorf("a fourth was taken: %d are open", s.connections.Open())
	}
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c, err := other.Dial("tcp", s.address)
	if err != nil {
		t.Skipf("this system has one address on loopback: %v", err)
	}
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprintf(c, get, "/")
	if got, err := answer(c); got != "alive" || err != nil {
		t.Errorf("another address got %q, %v", got, err)
	}
	close(s.release)
	_, _ = answer(third)
}

// starved is a listener of a process that has no descriptor left as long as short is set.
type starved struct {
	net.Listener
	short atomic.Pointer[error]
	tried atomic.Int64
}

func (l *starved) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if short := l.short.Load(); short != nil && err == nil {
		l.tried.Add(1)
		return nil, errors.Join(&net.OpError{Op: "accept", Err: *short}, c.Close())
	}
	return c, err
}

func TestAnAcceptWaitsOutAShortage(t *testing.T) {
	t.Parallel()
	for _, short := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS} {
		var l *starved
		s := newSite(t, func(inner net.Listener) net.Listener {
			l = &starved{Listener: inner}
			return l
		}, httpserver.Limits{Max: 100})
		idle := s.dial("")
		until(t, "accepted", func() bool { return s.connections.Open() == 1 })
		<-time.After(httpserver.Youth + 10*time.Millisecond)
		l.short.Store(&short)
		for range 3 {
			s.dial("")
		}
		until(t, "accepts fail", func() bool { return l.tried.Load() == 3 })
		if !gone(idle) {
			t.Errorf("%v: the idle connection keeps its descriptor", short)
		}
		l.short.Store(nil)
		s.want("/", "alive")
	}
}
