package webhook

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"batchd/internal/store"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// event is what a receiver is sent. It names a batch and says nothing about it: the receiver asks the API, with a key
// of its own, so an event in wrong hands is worth nothing.
type event struct {
	ID        string  `json:"id"`
	Object    string  `json:"object"`
	Type      string  `json:"type"`
	CreatedAt int64   `json:"created_at"`
	Data      subject `json:"data"`
}

type subject struct {
	ID string `json:"id"`
}

// body renders the event of a delivery; every attempt sends the same bytes.
func body(d store.Delivery) ([]byte, error) {
	return json.Marshal(event{
		ID: d.EventID, Object: "event", Type: string(d.Event), CreatedAt: d.CreatedAt.Unix(), Data: subject{ID: d.Batch},
	})
}

// signature returns the value of the signature header: one signature for each secret, so that a receiver which has
// either the old or the new one finds one that fits.
func signature(d store.Delivery, body []byte, at time.Time) (string, error) {
	signatures := make([]string, 0, len(d.Secrets))
	for _, secret := range d.Secrets {
		signer, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return "", fmt.Errorf("read signing secret: %w", err)
		}
		s, err := signer.Sign(d.ID, at, body)
		if err != nil {
			return "", fmt.Errorf("sign event: %w", err)
		}
		signatures = append(signatures, s)
	}
	if len(signatures) == 0 {
		return "", errNoSecret
	}
	return strings.Join(signatures, " "), nil
}
