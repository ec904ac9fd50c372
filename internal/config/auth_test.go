package config_test

import (
	"strings"
	"testing"

	"batchd/internal/config"
)

const bootstrap = "BATCHD_BOOTSTRAP_KEY=correct-horse-battery-staple"

func TestTheFirstKeyComesFromTheEnvironmentOnly(t *testing.T) {
	t.Parallel()
	c := load(t, config.Source{Environ: []string{bootstrap}})
	if c.Auth.BootstrapKey != "correct-horse-battery-staple" {
		t.Error("the variable is not read")
	}
	if c := load(t, config.Source{Environ: []string{"BATCHD_BOOTSTRAP_KEY="}}); c.Auth.BootstrapKey != "" {
		t.Error("an empty variable is a key")
	}
	for name, src := range map[string]config.Source{
		"file":           {File: write(t, "auth:\n  bootstrap_key: x\n")},
		"top of a file":  {File: write(t, "bootstrap_key: x\n")},
		"flag":           {Flags: []config.Flag{{Name: "--x", Key: "bootstrap_key", Values: []string{"x"}}}},
		"flag below key": {Flags: []config.Flag{{Name: "--x", Key: "auth.bootstrap_key", Values: []string{"x"}}}},
	} {
		if c, err := config.Load(src); err == nil || !strings.Contains(err.Error(), "unknown key") || c.Auth.BootstrapKey != "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCommandsThatCallNoUpstreamNeedNoUpstreamsKey(t *testing.T) {
	t.Parallel()
	src := config.Source{File: write(t, "upstreams:\n  - url: http://gpu/v1\n    api_key_env: NOT_HERE\n")}
	if _, err := config.Load(src); err == nil {
		t.Error("a missing key is not noticed")
	}
	src.NoCalls = true
	if _, err := config.Load(src); err != nil {
		t.Errorf("refused: %v", err)
	}
}
