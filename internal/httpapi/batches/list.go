package batches

import (
	"fmt"
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

// list answers with a page of batches, newest first.
func (a *API) list(c *httpapi.Call) error {
	query := c.Request.URL.Query()
	var selected store.BatchQuery
	status, err := filter(c, query, filterStatus)
	if err != nil {
		return err
	}
	if status != "" {
		if selected.Statuses, err = c.Dialect.ParseStatus(status); err != nil {
			return err
		}
	}
	if selected.CreatedAfter, err = timeFilter(c, query, filterAfter); err != nil {
		return err
	}
	if selected.CreatedBefore, err = timeFilter(c, query, filterBefore); err != nil {
		return err
	}
	if selected.Limit, err = c.PageLimit(c.Paging.Batches); err != nil {
		return err
	}
	if selected.After, err = c.After(); err != nil {
		return err
	}
	page, err := a.store.ListBatches(c.Context(), c.Who.Tenant, selected)
	if err != nil {
		return fmt.Errorf("list batches: %w", err)
	}
	// A batch of the page may have ended since the page was read: each is shown as retrieve would show it.
	for i, b := range page.Items {
		if page.Items[i], err = a.Live(c, b); err != nil {
			return err
		}
	}
	return c.JSON(c.Dialect.BatchList(page.Items, page.HasMore))
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

// timeFilter returns the time of a filter, the zero time where there is none. It takes either of the forms that dialects
// write, seconds since 1970 and RFC 3339, since clients copy times from objects that they were shown.
func timeFilter(c *httpapi.Call, q url.Values, param string) (time.Time, error) {
	word, err := filter(c, q, param)
	if word == "" || err != nil {
		return time.Time{}, err
	}
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
