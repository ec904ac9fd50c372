// Command batchd is a batch API for LLM endpoints: the server, the one-shot runner, the client and the simulated
// engine in one binary.
package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // zones are known wherever the binary runs

	"batchd/internal/cli"
)

// version is set by the linker: `make build` passes what scripts/version prints. Empty stands for a plain `go build`.
var version = ""

func main() {
	signals := make(chan os.Signal, 2) // the first one stops in order, the second at once
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	info, _ := debug.ReadBuildInfo() // nil where there is none
	name, build := versionOf(version, info)
	os.Exit(cli.Main(cli.Process{
		Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr,
		Signals: signals, Exit: os.Exit, Version: name, Build: build,
	}))
}
