package memfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Crash returns a file system as it may be after a power cut at this moment. Everything synced is there. Of the
// changes of names that were not, a random first part or a random subset is; a file moved between directories may have
// both names, but never neither. Of a file's unsynced contents, a random first part is, or a random subset of its
// sectors, with zeros in the gaps. The receiver stays as it is, so that one moment can give many images; the
// images have no hook.
func (m *FS) Crash(rng *rand.Rand) *FS {
	return m.crash(func(pending []change) []change { return survivors(pending, rng) },
		func(c *content) []byte { return survivor(c, rng) })
}

// CrashKeepingNothing is Crash in which nothing is left that was not synced.
func (m *FS) CrashKeepingNothing() *FS {
	return m.crash(func([]change) []change { return nil }, func(c *content) []byte { return c.synced })
}

// CrashKeepingAll is Crash in which everything reached the disk just in time, but for what failed syncs lost.
func (m *FS) CrashKeepingAll() *FS {
	return m.crash(func(pending []change) []change { return pending }, (*content).flushable)
}

// Kill returns a file system as the next process finds it after kill -9: what was written is all there, and what was
// not synced still is not. The receiver stays as it is; the copy has no hook and no open files.
func (m *FS) Kill() *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := copier{}
	dead := &FS{root: c.node(m.root), cutAfter: -1}
	for _, old := range m.pending {
		dead.pending = append(dead.pending, c.change(old))
	}
	return dead
}

// crash returns a copy in which only the changes and contents that the two functions choose are left, durably.
func (m *FS) crash(names func([]change) []change, contents func(*content) []byte) *FS {
	after := m.Kill()
	for _, c := range names(after.pending) {
		for _, e := range c {
			set(e.dir.durable, e.name, e.to)
		}
	}
	after.pending = nil
	keepDurable(after.root, contents, map[*node]bool{})
	return after
}

// survivors picks the changes of names that a power cut leaves.
func survivors(pending []change, rng *rand.Rand) []change {
	if rng.IntN(2) == 0 {
		return pending[:rng.IntN(len(pending)+1)]
	}
	var kept []change
	for _, c := range pending {
		n := rng.IntN(len(c) + 1)
		if n > 0 && n < len(c) && c[n-1].dir == c[n].dir {
			n = 0 // the names of one directory change together
		}
		kept = append(kept, c[:n])
	}
	return kept
}

// sector is the number of bytes that a disk writes all or none of.
// The disks of today have larger ones, which tear less.
const sector = 512

// survivor returns what a power cut may leave: the synced bytes, everything, all changes up to some byte, or any set
// of whole sectors under any size between.
func survivor(c *content, rng *rand.Rand) []byte {
	flushable := c.flushable()
	switch rng.IntN(4) {
	case 0:
		return c.synced
	case 1:
		return flushable
	case 2:
		return flushable[:c.clean+rng.IntN(len(flushable)-c.clean+1)]
	default:
		return anySectors(c, rng)
	}
}

// anySectors returns a file in which each sector that is not clean is from before or after the changes, or zeros where
// neither reaches. Disks write the sectors of one file in any order.
func anySectors(c *content, rng *rand.Rand) []byte {
	longest := max(len(c.synced), len(c.flushable()))
	size := longest
	if rng.IntN(2) == 0 {
		size = c.clean + rng.IntN(longest-c.clean+1)
	}
	out := make([]byte, size)
	for from := c.clean / sector * sector; from < len(out); from += sector {
		source := c.synced
		if rng.IntN(2) == 0 {
			source = c.flushable()
		}
		if from < len(source) {
			copy(out[from:min(from+sector, len(out))], source[from:])
		}
	}
	copy(out, c.synced[:c.clean])
	return out
}

// keepDurable drops whatever is not durable of n and of everything below it.
func keepDurable(n *node, contents func(*content) []byte, done map[*node]bool) {
	if done[n] {
		return
	}
	done[n] = true
	if !n.dir {
		left := append([]byte(nil), contents(&n.content)...)
		n.content = content{cached: left, synced: append([]byte(nil), left...), clean: len(left)}
		return
	}
	n.entries = maps.Clone(n.durable)
	for _, name := range slices.Sorted(maps.Keys(n.entries)) { // in order, so that a seed stands for one image
		keepDurable(n.entries[name], contents, done)
	}
}

// copier copies nodes, which share no bytes with the old ones, and keeps the identity of those reached twice.
type copier map[*node]*node

func (c copier) node(n *node) *node {
	if n == nil {
		return nil
	}
	if d, ok := c[n]; ok {
		return d
	}
	d := &node{dir: n.dir, changed: n.changed, content: n.content}
	d.content.cached = append([]byte(nil), n.content.cached...)
	d.content.synced = append([]byte(nil), n.content.synced...)
	if n.content.shadow != nil {
		// An empty shadow stays one: nil would mean that there is none, and a sync would write what a failed one has
		// lost.
		d.content.shadow = append([]byte{}, n.content.shadow...)
	}
	c[n] = d
	if n.dir {
		d.entries, d.durable = c.entries(n.entries), c.entries(n.durable)
	}
	return d
}

func (c copier) entries(entries map[string]*node) map[string]*node {
	out := make(map[string]*node, len(entries))
	for name, n := range entries {
		out[name] = c.node(n)
	}
	return out
}

func (c copier) change(old change) change {
	out := make(change, len(old))
	for i, e := range old {
		out[i] = edit{dir: c.node(e.dir), name: e.name, to: c.node(e.to)}
	}
	return out
}
