package httpserver

import (
	"net"
	"sync"
	"time"

	"batchd/internal/descriptors"
)

// Pauses after an accept that failed for want of descriptors or memory.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// listener accepts connections within the bounds, and waits out what the process has too little of.
type listener struct {
	net.Listener
	connections *Connections

	stop     chan struct{} // closed by Close
	stopOnce sync.Once
}

func newListener(l net.Listener, c *Connections) *listener {
	return &listener{Listener: l, connections: c, stop: make(chan struct{})}
}

// Accept implements net.Listener. A shortage is no error: it makes room and tries again.
func (l *listener) Accept() (net.Conn, error) {
	for pause := firstPause; ; {
		raw, err := l.Listener.Accept()
		switch {
		case err == nil:
			if c := l.connections.admit(raw, l.stop); c != nil {
				return c, nil
			}
			pause = firstPause
		case !descriptors.IsShortage(err):
			return nil, err
		default:
			l.connections.relieve()
			select {
			case <-time.After(pause):
			case <-l.stop:
			}
			pause = min(2*pause, lastPause)
		}
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.stopOnce.Do(func() { close(l.stop) })
	return l.Listener.Close()
}
