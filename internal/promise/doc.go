// Package promise judges batchd from outside: it starts the real binary, gives it batches over HTTP, kills, stops and
// damages it, and then checks every promise that the README makes. It holds tests only. What it believes comes from
// three places: the answers of the HTTP API, the log of an upstream that it plays itself, and the input file; nothing
// of the server's own code takes part in the judgement, so the two cannot agree on the same mistake.
//
// TestD1 to TestD12 carry the numbers of the promises; subtests named F01, U05 or I07 are cases of docs/cases.md. With
// the build tag "failpoint" the package holds TestFailpoints instead, which stops the process at every step of the
// durable core.
package promise
