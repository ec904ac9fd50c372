package plan

import "batchd/internal/batch"

// The largest unit where the settings say nothing. A unit is what a crash may run again and what one lease holds in memory:
// small enough to be over in a minute, large enough that its row, its fsync and its segment are cheap for each line.
const (
	defaultUnitLines = 1000
	defaultUnitBytes = 8 << 20
)

// cutter cuts a plan into units as its entries go by.
type cutter struct {
	limits UnitLimits
	units  []batch.UnitSpan
	// open is the unit in progress; its Count is 0 before the first entry.
	open batch.UnitSpan
	// lastLine is the line of the newest entry; inLineOrder says that every entry had a higher line than the one before.
	lastLine    uint32
	inLineOrder bool
}

// add takes in the next entry of the plan.
func (c *cutter) add(e Entry) {
	fits := c.open.Model == int(e.Model) && c.open.Count < c.limits.MaxLines && c.open.Bytes+int64(e.Length) <= c.limits.MaxBytes
	if c.open.Count > 0 && !fits {
		c.cut()
	}
	c.open.Model = int(e.Model)
	c.open.Count++
	c.open.Bytes += int64(e.Length)
	if e.Line < c.lastLine {
		c.inLineOrder = false
	}
	c.lastLine = e.Line
}

// cut ends the open unit; the next one begins behind it.
func (c *cutter) cut() {
	c.units = append(c.units, c.open)
	c.open = batch.UnitSpan{First: c.open.First + int64(c.open.Count)}
}

// finish ends the last unit and returns all of them.
func (c *cutter) finish() []batch.UnitSpan {
	if c.open.Count > 0 {
		c.cut()
	}
	return c.units
}

// planReader encodes the entries of a plan as they are asked for, and cuts them into units on the way. Pulling
// rather than pushing lets a file of one model go straight into the blob store, with nothing in between on disk.
type planReader struct {
	next func() (Entry, error)
	cut  cutter
	// unread is the rest of buf, which holds one encoded entry.
	buf, unread []byte
	// err is what next ended with.
	err error
}

// Read fills p as far as it can.
func (r *planReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(r.unread) == 0 {
			if r.err != nil {
				break
			}
			var e Entry
			if e, r.err = r.next(); r.err != nil {
				break
			}
			r.cut.add(e)
			r.buf = e.AppendTo(r.buf[:0])
			r.unread = r.buf
		}
		copied := copy(p[n:], r.unread)
		r.unread = r.unread[copied:]
		n += copied
	}
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}
