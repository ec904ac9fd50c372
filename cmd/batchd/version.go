package main

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"
)

// revisionLength is how much of a commit's hash names it in a version.
const revisionLength = 12

// versionOf returns the program's version and what it was built from, in words. The version is the one that the linker
// was given. Without one it is what the go command knows: the module's version, which follows from the tags of the
// repository, else the commit; "devel" if it was told nothing, as with -buildvcs=false.
func versionOf(linked string, info *debug.BuildInfo) (version, build string) {
	if info == nil {
		return cmp.Or(linked, "devel"), ""
	}
	settings := make(map[string]string, len(info.Settings))
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision, modified := settings["vcs.revision"], settings["vcs.modified"] == "true"
	switch {
	case linked != "":
		version = linked
	case info.Main.Version != "" && info.Main.Version != "(devel)":
		version = strings.TrimPrefix(info.Main.Version, "v")
	case revision != "":
		version = "devel+" + revision[:min(len(revision), revisionLength)]
		if modified {
			version += ".dirty"
		}
	default:
		version = "devel"
	}
	if revision != "" {
		build = "revision " + revision
		if at := settings["vcs.time"]; at != "" {
			build += " of " + at
		}
		if modified {
			build += ", with changes that are not committed"
		}
		build += ", "
	}
	return version, build + fmt.Sprintf("built with %s for %s/%s", info.GoVersion, settings["GOOS"], settings["GOARCH"])
}
