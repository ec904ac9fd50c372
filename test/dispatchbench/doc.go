// Package dispatchbench compares ways of finding how many calls to have in flight at an engine: batchd's own gate, fixed
// limits, and failsafe-go's adaptive limiter. Each sends an endless batch to engines of internal/sim/batching, in virtual
// time, so that hours pass in minutes and runs with one seed are equal. `make bench-dispatch` runs all of it and writes
// docs/dispatch.md with its plots.
//
// It holds tests only: a bench needs no place in a binary, and failsafe-go reads the clock, which only testing/synctest
// can turn. It knows engines from outside and gates by their methods, nothing of the rest of batchd.
package dispatchbench
