package plan

import "batchd/internal/batch"

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

func newCutter(limits UnitLimits) *cutter {
	if limits.MaxLines <= 0 {
		limits.MaxLines = defaultUnitLines
	}
	if limits.MaxBytes <= 0 {
		limits.MaxBytes = defaultUnitBytes
	}
	return &cutter{limits: limits, inLineOrder: true}
}

// add takes in the next entry of the plan.
func (c *cutter) add(e Entry) {
	if c.open.Count > 0 && !c.fits(e) {
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

func (c *cutter) fits(e Entry) bool {
	return c.open.Model == int(e.Model) &&
		c.open.Count < c.limits.MaxLines &&
		c.open.Bytes+int64(e.Length) <= c.limits.MaxBytes
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
