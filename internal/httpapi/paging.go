package httpapi

import (
	"errors"
	"strconv"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// PageLimit returns how many objects a page may have that the call asks for.
func (c *Call) PageLimit(bounds dialect.PageBounds) (int, error) {
	const param = "limit"
	raw := c.Request.URL.Query().Get(param)
	if raw == "" {
		return bounds.Default, nil
	}
	// A number too large for int saturates, with an error that the bounds below word better.
	n, err := strconv.Atoi(raw)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, batch.Invalidf(param, "invalid_type", "Invalid 'limit': expected an integer.")
	case n >= 1 && n <= bounds.Max:
		return n, nil
	case c.Paging.Clamp:
		return min(max(n, 1), bounds.Max), nil
	case n < 1:
		return 0, batch.Invalidf(param, "integer_below_min_value", "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got %s instead.", Clip(raw))
	default:
		return 0, batch.Invalidf(param, "integer_above_max_value", "Invalid 'limit': integer above maximum value. Expected a value <= %d, but got %s instead.", bounds.Max, Clip(raw))
	}
}

// After returns the id after which the page starts that the call asks for, "" for the first page.
func (c *Call) After() (string, error) {
	after := c.Request.URL.Query().Get("after")
	if after != "" && !PlausibleID(after) {
		return "", badCursor()
	}
	return after, nil
}

func badCursor() *batch.Error {
	return batch.Invalidf("after", "invalid_value", "Invalid 'after': no object has this id. Use the last_id of the page before.")
}
