package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// created is the time shown in every answer. A constant, since answers are a function of the seed and the body alone.
const created = 1767225600 // 2026-01-01T00:00:00Z

// The independent draws made for one request.
const (
	drawLatency uint64 = iota + 1
	drawLength
	drawWords
	drawFault // plus the number of the rule; keep last
)

// An identity is what makes a request itself: a hash of the engine's seed and the body. Everything that looks random
// in an answer is drawn from it.
type identity [sha256.Size]byte

func newIdentity(seed uint64, body []byte) identity {
	h := sha256.New()
	var s [8]byte
	binary.LittleEndian.PutUint64(s[:], seed)
	h.Write(s[:])
	h.Write(body)
	var id identity
	h.Sum(id[:0])
	return id
}

// name is an id as the API shows it.
func (id identity) name(prefix string) string {
	return prefix + hex.EncodeToString(id[:12])
}

// rand returns the generator of one draw; each draw has its own, so that adding one changes no other.
func (id identity) rand(draw uint64) *rand.Rand {
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(id[8:])^draw, binary.LittleEndian.Uint64(id[16:])))
}

// hash64 hashes text under a seed.
func hash64(seed uint64, text string) uint64 {
	id := newIdentity(seed, []byte(text))
	return binary.LittleEndian.Uint64(id[:])
}
