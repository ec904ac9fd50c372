package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheSchemaVersionIsThatOfTheLastMigration(t *testing.T) {
	t.Parallel()
	scripts, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	last := scripts[len(scripts)-1].Name()
	if !strings.HasPrefix(last, fmt.Sprintf("%05d_", schemaVersion)) {
		t.Errorf("the last migration is %s, the schema version %d", last, schemaVersion)
	}
	for i, script := range scripts {
		text, err := migrations.ReadFile("migrations/" + script.Name())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), fmt.Sprintf("PRAGMA user_version = %d;", i+1)) {
			t.Errorf("%s does not set user_version to %d", script.Name(), i+1)
		}
	}
}

func TestUpgradeEndsAtTheCurrentSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "old.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := upgrade(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	w, err := openWriter(t.Context(), path, Options{OnFsync: func(int) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.close() }()
	if version, err := pragma(t.Context(), w.conn, "user_version"); err != nil || version != schemaVersion {
		t.Errorf("got version %d, error %v", version, err)
	}
}
