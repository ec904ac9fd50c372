package httpapi

import (
	"errors"
	"net/url"
	"strconv"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/store"
)

// pageLimit reads from a query how many objects a page may have.
func pageLimit(q url.Values, bounds dialect.PageBounds, clamp bool) (int, error) {
	const param = "limit"
	raw := q.Get(param)
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
	case clamp:
		return min(max(n, 1), bounds.Max), nil
	case n < 1:
		return 0, batch.Invalidf(param, "integer_below_min_value", "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got %s instead.", clipWord(raw))
	default:
		return 0, batch.Invalidf(param, "integer_above_max_value", "Invalid 'limit': integer above maximum value. Expected a value <= %d, but got %s instead.", bounds.Max, clipWord(raw))
	}
}

// cursor reads the id after which a page starts, "" for the first page.
func cursor(q url.Values) (string, error) {
	after := q.Get("after")
	if after != "" && !plausible(after) {
		return "", badCursor()
	}
	return after, nil
}

func badCursor() error {
	return batch.Invalidf("after", "invalid_value", "Invalid 'after': no object has this id. Use the last_id of the page before.")
}

// listFault words a cursor that the store does not know.
func listFault(err error) error {
	if errors.Is(err, store.ErrBadCursor) {
		return badCursor()
	}
	return err
}
