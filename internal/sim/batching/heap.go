package batching

// A heap is a priority queue whose items are values in one slice: container/heap would box each of them, and steps
// are to allocate nothing.
type heap[T any] struct {
	items  []T
	before func(a, b *T) bool
}

func (h *heap[T]) push(item T) {
	h.items = append(h.items, item)
	h.up(len(h.items) - 1)
}

// pop takes the first item out. There must be one.
func (h *heap[T]) pop() T {
	first := h.items[0]
	h.remove(0)
	return first
}

func (h *heap[T]) remove(i int) {
	end := len(h.items) - 1
	h.items[i] = h.items[end]
	h.items = h.items[:end]
	if i < end {
		h.down(i)
		h.up(i)
	}
}

// removeFunc takes out the item that is meant, and reports whether there was one.
func (h *heap[T]) removeFunc(meant func(item *T) bool) bool {
	for i := range h.items {
		if meant(&h.items[i]) {
			h.remove(i)
			return true
		}
	}
	return false
}

func (h *heap[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.before(&h.items[i], &h.items[parent]) {
			return
		}
		h.items[i], h.items[parent] = h.items[parent], h.items[i]
		i = parent
	}
}

func (h *heap[T]) down(i int) {
	for {
		first := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.items); child++ {
			if h.before(&h.items[child], &h.items[first]) {
				first = child
			}
		}
		if first == i {
			return
		}
		h.items[i], h.items[first] = h.items[first], h.items[i]
		i = first
	}
}
