package httpapi

import (
	"errors"
	"net/url"
	"strconv"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// Paging bounds a mount's lists; zeros stand for OpenAI's bounds.
type Paging struct {
	DefaultBatches, MaxBatches int
	DefaultFiles, MaxFiles     int
	// Clamp takes a limit that is out of bounds for the nearest bound, instead of refusing it.
	Clamp bool
}

func (p Paging) withDefaults() Paging {
	for field, value := range map[*int]int{
		&p.DefaultBatches: 20, &p.MaxBatches: 100, &p.DefaultFiles: 10_000, &p.MaxFiles: 10_000,
	} {
		if *field == 0 {
			*field = value
		}
	}
	return p
}

// limit reads the page size from a query.
func (p Paging) limit(q url.Values, fallback, most int) (int, error) {
	const param = "limit"
	raw := q.Get(param)
	if raw == "" {
		return fallback, nil
	}
	// A number too large for int saturates, with an error that the bounds below word better.
	n, err := strconv.Atoi(raw)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, batch.Invalidf(param, "invalid_type", "Invalid 'limit': expected an integer.")
	case n >= 1 && n <= most:
		return n, nil
	case p.Clamp:
		return min(max(n, 1), most), nil
	case n < 1:
		return 0, batch.Invalidf(param, "integer_below_min_value", "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got %s instead.", clipWord(raw))
	default:
		return 0, batch.Invalidf(param, "integer_above_max_value", "Invalid 'limit': integer above maximum value. Expected a value <= %d, but got %s instead.", most, clipWord(raw))
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
