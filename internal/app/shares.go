package app

import (
	"context"
	"log/slog"

	"batchd/internal/config"
	"batchd/internal/descriptors"
)

// fewDescriptors is a limit below which an operator should know how it is shared out: systems usually give more.
const fewDescriptors = 4096

// shareDescriptors raises the limit on open descriptors as far as it goes and shares it out.
func shareDescriptors(ctx context.Context, cfg config.Config, logger *slog.Logger) descriptors.Shares {
	limit, err := descriptors.Raise()
	if err != nil {
		logger.Warn("limit on file descriptors not raised", "error", err)
	}
	shares := descriptors.Share(limit)
	level := slog.LevelDebug
	if limit < fewDescriptors {
		level = slog.LevelInfo
	}
	logger.Log(ctx, level, "file descriptors shared out", "limit", limit,
		"units", shares.Units, "upstreams", shares.Upstreams, "connections", shares.Clients)
	wanted := 0
	for _, u := range cfg.Upstreams {
		if u.URL != config.Simulator { // which has none
			wanted += u.Concurrency
		}
	}
	if wanted > shares.Upstreams {
		logger.Warn("upstreams are to have more calls in flight than there are file descriptors for; raise the limit (ulimit -n)",
			"concurrency", wanted, "upstreams", shares.Upstreams)
	}
	if cfg.HTTP.MaxConnections > shares.Clients {
		logger.Warn("http.max_connections is more than there are file descriptors for; raise the limit (ulimit -n)",
			"connections", shares.Clients)
	}
	return shares
}
