package app

import (
	"time"

	"batchd/internal/config"
	"batchd/internal/webhook"
)

// newSender makes what empties the outbox.
func (e *Engine) newSender() *webhook.Sender {
	caller := webhook.NewCaller(webhook.CallerOptions{Guard: guardOf(e.cfg)})
	return webhook.New(webhook.Options{
		Store: e.storage.store, Call: caller.Call, Announces: e.announces, Now: time.Now, Logger: e.log,
		Registerer: e.metrics.registry,
	})
}

// checkCallback refuses a URL that could never be sent the event of a batch's end.
func (e *Engine) checkCallback(url string) error { return guardOf(e.cfg).CheckURL("callback_url", url) }

// guardOf returns who may be called. The settings have been checked; of some that were not, nothing is allowed.
func guardOf(cfg config.Config) webhook.Guard {
	ranges, _ := cfg.Webhooks.Ranges()
	return webhook.NewGuard(ranges)
}
