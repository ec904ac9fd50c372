package main

import (
	"runtime/debug"
	"testing"
)

func TestVersionSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	const hash = "cea6d49dd04d0f4f1f1f0b1b2b3b4b5b6b7b8b9b"
	info := func(version string, more ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{
			GoVersion: "go1.26.8", Main: debug.Module{Path: "batchd", Version: version},
			Settings: append([]debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "amd64"}}, more...),
		}
	}
	commit := []debug.BuildSetting{
		{Key: "vcs.revision", Value: hash}, {Key: "vcs.time", Value: "2026-11-28T05:28:13Z"}, {Key: "vcs.modified", Value: "false"},
	}
	changed := append(commit[:2:2], debug.BuildSetting{Key: "vcs.modified", Value: "true"})
	const built = "built with go1.26.8 for linux/amd64"
	const of = "revision " + hash + " of 2026-11-28T05:28:13Z, "
	for name, c := range map[string]struct {
		linked         string
		info           *debug.BuildInfo
		version, build string
	}{
		"release":               {"0.2.0", info("(devel)", commit...), "0.2.0", of + built},
		"release, no info":      {"0.2.0", nil, "0.2.0", ""},
		"plain build":           {"", info("v0.1.1-0.20261128052813-cea6d49dd04d", commit...), "0.1.1-0.20261128052813-cea6d49dd04d", of + built},
		"module's version":      {"", info("v0.2.0"), "0.2.0", built},
		"commit alone":          {"", info("(devel)", commit...), "devel+cea6d49dd04d", of + built},
		"commit with changes":   {"", info("", changed...), "devel+cea6d49dd04d.dirty", of + "with changes that are not committed, " + built},
		"neither tag nor git":   {"", info("(devel)"), "devel", built},
		"no information at all": {"", nil, "devel", ""},
	} {
		version, build := versionOf(c.linked, c.info)
		if version != c.version || build != c.build {
			t.Errorf("%s: got %q, %q, want %q, %q", name, version, build, c.version, c.build)
		}
	}
}
