package journal

// SetInMemoryLimit makes Build lay out larger journals than n bytes without holding them.
func (j *Journal) SetInMemoryLimit(n int64) { j.inMemory = n }

// What tests need to know of the format.
const (
	HeadSize  = headSize
	KeepLimit = keepLimit
	OneWrite  = oneWrite
)

// Size returns where the last whole frame ends.
func (j *Journal) Size() int64 { return j.size }
