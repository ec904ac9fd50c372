package app_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"batchd/internal/app"
	"batchd/internal/config"
)

// A database that is gone while data is there was lost: a new one would know nothing of the data and sweep it away.
func TestAMissingDatabaseIsNotMadeAnewBesideData(t *testing.T) {
	t.Parallel()
	for name, made := range map[string]bool{"": true, "blobs/something": false, "journals/something": false} {
		cfg := config.Default()
		cfg.DataDir = t.TempDir()
		cfg.Upstreams = []config.Upstream{{URL: config.Simulator}}
		if name != "" {
			path := filepath.Join(cfg.DataDir, name)
			if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("data"), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		e, err := app.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if (err == nil) != made {
			t.Errorf("beside %q: opening says %v", name, err)
		}
		if err == nil {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := os.Stat(filepath.Join(cfg.DataDir, "batchd.db")); errors.Is(err, fs.ErrNotExist) == made {
			t.Errorf("beside %q: the database is looked for with %v", name, err)
		}
	}
}
