package readwait

// Steps returns how many steps of a batch wait.
func (w *Waits) Steps(batchID string) int {
	if w.any.Load() == 0 {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if b := w.batches[batchID]; b != nil {
		return len(b.steps)
	}
	return 0
}
