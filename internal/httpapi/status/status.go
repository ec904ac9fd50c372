// Package status answers the calls that show the server's operator how the server itself stands.
package status

import (
	"context"
	"encoding/json"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/diskusage"
	"batchd/internal/httpapi"
)

// Routes returns the route that shows what uses the disk, for the dialect that shows upstreams too: batchd's own. survey
// finds it out; it may be called concurrently.
func Routes(survey func(ctx context.Context) (diskusage.Usage, error)) []httpapi.Route {
	disk := func(c *httpapi.Call) error {
		if !c.Who.Operator {
			return &batch.Error{
				Class: batch.Forbidden, Message: "What uses the disk is shown to the server's operator only: run `batchd status --disk --data-dir DIR` where the data directory is.",
			}
		}
		u, err := survey(c.Context())
		if err != nil {
			return err
		}
		body, err := json.Marshal(u)
		if err != nil {
			return fmt.Errorf("encode disk usage: %w", err)
		}
		return c.JSON(body)
	}
	shown := func(c *httpapi.Call, _ string) bool {
		_, ok := c.Dialect.(dialect.Watcher)
		return ok
	}
	return []httpapi.Route{{Path: "/disk", Methods: map[string]httpapi.Handler{"GET": disk}, ActFor: []string{"GET"}, Offered: shown}}
}
