package dispatch

// needs returns a job that wants units leased, and how many it may have; nil when there is none. A job with nothing to
// take may have a unit however many others hold, so that no batch keeps another from its turn.
func (s *schedule) needs(maxFilling, maxOpen int) (*job, int) {
	filling, open := 0, 0
	for _, j := range s.ring {
		filling += j.filling
		open += len(j.open)
	}
	room := min(leaseAtOnce, maxFilling-filling, maxOpen-open)
	for i := range s.ring {
		j := s.ring[(s.leaseTurn+i)%len(s.ring)]
		n := room
		if j.filling == 0 {
			n = max(1, n)
		}
		if n > 0 && j.wantsUnits() {
			s.leaseTurn = (s.leaseTurn + i + 1) % len(s.ring)
			j.leasing = true
			return j, min(n, j.unleased)
		}
	}
	return nil, 0
}

// hunger notes which jobs could use a target that has permits to spare.
func (s *schedule) hunger() (any bool) {
	for _, t := range s.targets {
		if t.address.InFlight() >= t.address.Cap() {
			continue
		}
		for _, j := range s.ring {
			if len(j.batch.Models) > 1 {
				j.hungerFor(t)
			}
			any = any || j.wantsUnits()
		}
	}
	return any
}
