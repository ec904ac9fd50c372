package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"batchd/internal/config"
)

func TestNothingPrintedShowsASecret(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Auth.BootstrapKey = "s3cret"
	c.Upstreams = []config.Upstream{
		{
			URL: "https://me:s3cret@host/v1?token=s3cret", Models: []string{"m"}, Concurrency: 3, APIKeyEnv: "KEY",
			Headers: map[string]string{"X-Key": "s3cret"},
		},
		{URL: "http://me:s3cret@host:x%zz", APIKeyFile: "/key"},
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "config", c, "upstream", c.Upstreams[0], "all", c.Upstreams)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "config", c, "upstream", c.Upstreams[0], "all", c.Upstreams)
	for name, text := range map[string]string{
		"%v": fmt.Sprintf("%v", c), "%+v": fmt.Sprintf("%+v", c), "%#v": fmt.Sprintf("%#v", c),
		"%q of a key": fmt.Sprintf("%q", c.Auth.BootstrapKey), "%x of a key": fmt.Sprintf("%x %v", c.Auth.BootstrapKey, c.Auth),
		"upstream": c.Upstreams[0].String(), "JSON": string(encoded), "log": logged.String(),
	} {
		if strings.Contains(text, "s3cret") || strings.Contains(text, "733363726574") {
			t.Errorf("%s shows a secret: %s", name, text)
		}
	}
	const want = "{url=https://xxxxx@host/v1?xxxxx models=m concurrency=3 api_key_env=KEY headers=1}"
	if got := c.Upstreams[0].String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
