package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"batchd/internal/sim"
)

// Simulation is a simulated engine on a port of its own.
type Simulation struct {
	Listen string
	Engine sim.Options
	// Timetable is the engine's in text, like `5m=4,10m=12`; "" for seats that stay as they are.
	Timetable string
	// Script is the path of a fault script; "" for an engine that works.
	Script string
}

// Simulate serves a simulated engine until ctx ends; then it cuts off what is left, as an engine that is stopped does.
// listening is called with the address once calls are taken. What is wrong with the options is a *batch.Error of class batch.Invalid.
func Simulate(ctx context.Context, s Simulation, listening func(net.Addr)) error {
	engine, err := s.engine()
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.Listen, err)
	}
	listening(l.Addr())
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

func (s Simulation) engine() (*sim.Engine, error) {
	if s.Script != "" {
		text, err := os.ReadFile(s.Script)
		if err != nil {
			return nil, invalid("read fault script: %v", err)
		}
		if s.Engine.Faults, err = sim.ParseScript(text); err != nil {
			return nil, invalid("%s: %v", s.Script, err)
		}
	}
	timetable, err := sim.ParseTimetable(s.Timetable)
	if err != nil {
		return nil, invalid("%v", err)
	}
	s.Engine.Timetable = timetable
	engine, err := sim.New(s.Engine)
	if err != nil {
		return nil, invalid("%v", err)
	}
	return engine, nil
}
