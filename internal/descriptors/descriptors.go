// Package descriptors knows how many files and connections the process may have open at once, raises that as far as the
// system allows, shares it out among those that open some, and tells a shortage of them from a fault. It opens nothing.
package descriptors

import (
	"errors"
	"syscall"
)

// IsShortage reports whether err says that the process or the machine has no descriptor or no memory left for an operation.
// It is the one place that knows: what failed so says nothing about the disk or the peer, and works again once others have
// given something back.
func IsShortage(err error) bool {
	for _, short := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS} {
		if errors.Is(err, short) {
			return true
		}
	}
	return false
}

// Bounds of the shares.
const (
	// base is for the database, whose connections have two each, the lock, the listeners, the log, what the runtime polls by,
	// segments and plans that are being written and read, and deliveries of webhooks.
	base = 64
	// minUnits is how many units have lines to take at once, each with its journal open; maxUnits how many may be open in all.
	minUnits, maxUnits = 64, 2000
	// maxClients bounds the connections of clients where descriptors do not: an idle one costs some 10 KiB of memory.
	maxClients = 10_000
	// perClient is how many descriptors a call may need: its connection, and the file that it stores or reads.
	perClient = 2
	// least is the least share of clients and of upstreams, whatever the limit: with fewer nothing could be done at all.
	least = 8
)

// Shares is how many descriptors each part of a server may have.
type Shares struct {
	// Units is how many units may be open, each with a journal.
	Units int
	// Clients is how many connections clients may have open, and Upstreams how many there may be to upstreams.
	Clients   int
	Upstreams int
}

// Share divides a limit: the journals of units come first, then half of the rest each for upstreams and for clients.
func Share(limit int) Shares {
	units := min(max(limit/4, minUnits), maxUnits)
	half := (limit - base - units) / 2
	return Shares{
		Units: units, Upstreams: max(half, least), Clients: min(max(half/perClient, least), maxClients),
	}
}
