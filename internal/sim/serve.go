package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// headerTimeout is how long a client may take to send its request's headers.
const headerTimeout = 30 * time.Second

// Serve runs an engine and serves it on a TCP address until ctx ends; then it cuts off what is left, as an engine that is stopped
// does. listening is called with the address once calls are taken.
func Serve(ctx context.Context, address string, engine *Engine, listening func(net.Addr)) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	listening(l.Addr())
	running, stop := context.WithCancel(ctx)
	var stepping sync.WaitGroup
	stepping.Go(func() { engine.Run(running) })
	defer stepping.Wait()
	defer stop()
	// No timeout for writing: a slow answer is one of the things that are simulated.
	server := &http.Server{Handler: engine, ReadHeaderTimeout: headerTimeout}
	var closing sync.WaitGroup
	closing.Add(1)
	halt := context.AfterFunc(ctx, func() {
		defer closing.Done()
		_ = server.Close() // nothing is kept that could be lost
	})
	err = server.Serve(l)
	if halt() {
		closing.Done()
	}
	closing.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}
