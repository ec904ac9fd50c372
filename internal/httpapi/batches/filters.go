package batches

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
	"batchd/internal/store"
)

// The query parameters by which a list of batches is filtered. They are ours: no vendor has them.
const (
	filterStatus = "status"
	filterAfter  = "created_after"
	filterBefore = "created_before"
)

// lastSecond is the end of the year 9999, the last time that every dialect can write.
const lastSecond = 253402300799

// filters reads which batches a list call wants.
func filters(c *httpapi.Call) (wanted store.BatchQuery, err error) {
	q := c.Request.URL.Query()
	status, err := filter(c, q, filterStatus)
	if err != nil {
		return wanted, err
	}
	if status != "" {
		if wanted.Statuses, err = c.Dialect.ParseStatus(status); err != nil {
			return wanted, err
		}
	}
	if wanted.CreatedAfter, err = timeFilter(c, q, filterAfter); err != nil {
		return wanted, err
	}
	wanted.CreatedBefore, err = timeFilter(c, q, filterBefore)
	return wanted, err
}

// filter returns the word of a filter, "" where there is none. A dialect that takes nothing of ours refuses it by name,
// since a client that is shown more than it asked for might cancel the wrong batches.
func filter(c *httpapi.Call, q url.Values, param string) (string, error) {
	values := q[param]
	switch {
	case len(values) == 0:
		return "", nil
	case !c.Dialect.Extensions():
		return "", dialect.UnknownParameter(param)
	case len(values) > 1:
		return "", batch.Invalidf(param, "invalid_value", "Invalid '%s': it is given %d times. Give it once.", param, len(values))
	case values[0] == "":
		return "", batch.Invalidf(param, "invalid_value", "Invalid '%s': it is empty. Leave it out to list all batches.", param)
	}
	return values[0], nil
}

func timeFilter(c *httpapi.Call, q url.Values, param string) (time.Time, error) {
	word, err := filter(c, q, param)
	if word == "" || err != nil {
		return time.Time{}, err
	}
	return parseTime(param, word)
}

// parseTime reads a time in either of the forms that dialects write: seconds since 1970, or RFC 3339.
func parseTime(param, word string) (time.Time, error) {
	if seconds, err := strconv.ParseInt(word, 10, 64); err == nil && seconds >= 0 && seconds <= lastSecond {
		return time.Unix(seconds, 0).UTC(), nil
	}
	// The plus sign of an offset arrives as a space from everybody who does not escape it.
	t, err := time.Parse(time.RFC3339Nano, strings.Replace(word, " ", "+", 1))
	if err != nil || t.Unix() < 0 || t.Unix() > lastSecond {
		return time.Time{}, batch.Invalidf(param, "invalid_value",
			"Invalid '%s': '%s' is no time. Give seconds since 1970, like 1767225600, or RFC 3339, like 2026-01-01T00:00:00Z.", param, httpapi.Clip(word))
	}
	return t.UTC(), nil
}
