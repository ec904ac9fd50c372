package dispatch

import (
	"container/heap"
	"slices"
	"time"

	"batchd/internal/limit"
)

// task is one line on its way, with the history of its tries.
type task struct {
	unit    *unit
	line    Line
	history limit.History
	// since is when the line was put off first, due when it may go again.
	since, due time.Time
	// failedAt is the gate that the last try failed at: another one is preferred. back is when the line may go there again,
	// if that is later than due.
	failedAt *gate
	back     time.Time
	// lull is how long its gate must have served nobody before the next try; 0 for no matter.
	lull time.Duration
	// unread is the pause before the line is read again that could not be read; 0 once it was.
	unread time.Duration
	// unproven is set while the line is put off and nothing shows that the fault is its own.
	unproven bool
}

// retries are the lines of a lane that were put off: in waiting until they are due, then in the list that says who may
// take them. No line stands before another that somebody else could take.
type retries struct {
	waiting dueHeap
	ready   []*bucket
	lulls   []*task
	// count is how many lines are put off, unproven how many of them may be innocent.
	count, unproven int
}

// bucket holds due lines that the same gates may take, first come first served.
type bucket struct {
	failedAt        *gate
	proven, suspect bool
	tasks           []*task
}

// add puts a line off until it is due.
func (r *retries) add(t *task) {
	t.unproven = !t.history.Proven()
	r.count++
	if t.unproven {
		r.unproven++
	}
	heap.Push(&r.waiting, t)
}

// advance moves the lines that are due by now to where they can be taken.
func (r *retries) advance(now time.Time) {
	for len(r.waiting) > 0 && !r.waiting[0].due.After(now) {
		t := heap.Pop(&r.waiting).(*task) //nolint:errcheck // the heap holds tasks alone
		if t.lull > 0 {
			r.lulls = append(r.lulls, t)
			continue
		}
		proven, suspect := t.history.Proven(), t.history.Suspect()
		i := slices.IndexFunc(r.ready, func(b *bucket) bool {
			return b.failedAt == t.failedAt && b.proven == proven && b.suspect == suspect
		})
		if i < 0 {
			i = len(r.ready)
			r.ready = append(r.ready, &bucket{failedAt: t.failedAt, proven: proven, suspect: suspect})
		}
		r.ready[i].tasks = append(r.ready[i].tasks, t)
	}
}

// due reports whether a line could be taken by somebody.
func (r *retries) due() bool {
	if len(r.lulls) > 0 {
		return true
	}
	for _, b := range r.ready {
		if len(b.tasks) > 0 {
			return true
		}
	}
	return false
}

// take takes a due line for g that fits, one that failed elsewhere first. A line that failed at g waits for another
// gate of its model if one is open.
func (r *retries) take(g *gate, now time.Time, fits func(*bucket) bool) *task {
	may := func(b *bucket) bool { return len(b.tasks) > 0 && fits(b) && g.MayCarry(&b.tasks[0].history) }
	for _, b := range r.ready {
		if b.failedAt != g && may(b) {
			return r.pop(b)
		}
	}
	if g.queue.openElsewhere(g) {
		return nil
	}
	for _, b := range r.ready {
		if b.failedAt != g || !may(b) {
			continue
		}
		// The first that may go back to where it failed, unless it was told to wait longer there.
		for i, t := range b.tasks[:min(len(b.tasks), backLook)] {
			if !t.back.After(now) {
				b.tasks[0], b.tasks[i] = t, b.tasks[0]
				return r.pop(b)
			}
		}
	}
	return nil
}

// backLook bounds how many lines that failed at a gate are looked at for one that may go there again, as everybody waits
// for the mutex meanwhile.
const backLook = 64

func (r *retries) pop(b *bucket) *task {
	t := b.tasks[0]
	b.tasks[0] = nil
	if b.tasks = b.tasks[1:]; len(b.tasks) == 0 {
		b.tasks = nil
	}
	r.taken(t)
	return t
}

// takeLull takes a line that waited for a lull.
func (r *retries) takeLull() *task {
	if len(r.lulls) == 0 {
		return nil
	}
	t := r.lulls[0]
	r.lulls = r.lulls[1:]
	r.taken(t)
	return t
}

func (r *retries) taken(t *task) {
	r.count--
	if t.unproven {
		t.unproven = false
		r.unproven--
	}
}

// each calls f for every line that is put off, until it returns false.
func (r *retries) each(f func(*task) bool) {
	lists := [][]*task{r.waiting, r.lulls}
	for _, b := range r.ready {
		lists = append(lists, b.tasks)
	}
	for _, list := range lists {
		for _, t := range list {
			if !f(t) {
				return
			}
		}
	}
}

// dueHeap is a heap of tasks by the time they are due.
type dueHeap []*task

// Len, Less, Swap, Push and Pop are for container/heap.
func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push appends x, a *task.
func (h *dueHeap) Push(x any) {
	*h = append(*h, x.(*task)) //nolint:errcheck // heap.Push passes on what it is given, always a *task
}

// Pop removes the last task.
func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
