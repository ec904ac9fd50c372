package dispatch

const (
	// mostControls lines of a batch, but a quarter of it at most, are kept back for its end.
	mostControls = 16
	controlShare = 4
)

// KeptBack reports whether the line at a position in the plan of a batch of total lines is a control: one of a few,
// spread over it, that go last. At the end of a batch, when only failing lines are left, they are what can still show
// whether the upstream works. There is one in each of as many equal parts, at an irregular place: faults are often
// regular.
func KeptBack(position, total int64) bool {
	n := min(mostControls, total/controlShare)
	if n == 0 {
		return false
	}
	part := position * n / total
	first := (part*total + n - 1) / n
	length := ((part+1)*total+n-1)/n - first
	return position == first+int64(scatter(uint64(total)<<8|uint64(part))%uint64(length))
}

// scatter mixes the bits of a number (the finalizer of SplitMix64).
func scatter(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
