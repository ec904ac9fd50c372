// Package limit decides whether a call to an upstream may start now, and what each call's end means: whose fault a
// failure is, how many calls are worth having in flight, and when to ask an upstream again that takes none.
//
// A Gate stands for one model at one upstream; an Address is what the gates of one upstream share. All decisions are
// pure: they follow from the signals and the times that are handed in, and from a random source for jitter. Nothing here
// starts a goroutine, reads a clock or does I/O, and nothing may be used concurrently: the dispatcher's mutex guards
// all of it.
//
// A gate's limit is the least of several parts, each with a reason of its own: what failures leave (room), what is
// worth having in flight (goodput), and how fast it may grow (pace). The rules and their constants were found by
// simulation; docs/adr/0015-whose-fault.md has them with the figures.
package limit
