package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	// semantic is a version as Semantic Versioning writes it, without build metadata.
	semantic = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)
	// release is a heading of the changelog.
	release = regexp.MustCompile(`^## \[(.+?)\](?: - (\S+))?$`)
)

func TestVersionFileAndChangelogAgree(t *testing.T) {
	t.Parallel()
	version, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	changelog, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range checkVersions(strings.TrimSuffix(string(version), "\n"), string(changelog)) {
		t.Error(fault)
	}
}

// checkVersions lists what is wrong with the file VERSION and the headings of the changelog. The newest version of the
// changelog is either VERSION itself, in the commit that is released, or older than VERSION, which then ends in -dev.
func checkVersions(version, changelog string) []string {
	current, ok := parseVersion(version)
	if !ok {
		return []string{fmt.Sprintf("VERSION holds %q, want X.Y.Z or X.Y.Z-dev", version)}
	}
	var faults []string
	previous, unreleased := current, false
	for line := range strings.Lines(changelog) {
		if !strings.HasPrefix(line, "## ") {
			continue
		}
		found := release.FindStringSubmatch(strings.TrimSpace(line))
		switch {
		case found == nil:
			faults = append(faults, fmt.Sprintf(`%q is no heading of a version: want "## [X.Y.Z] - YYYY-MM-DD"`, strings.TrimSpace(line)))
			continue
		case found[1] == "Unreleased":
			unreleased = true
			continue
		}
		number, ok := parseVersion(found[1])
		if _, err := time.Parse(time.DateOnly, found[2]); !ok || err != nil {
			faults = append(faults, fmt.Sprintf("%s of %q is no version with its date", found[1], found[2]))
			continue
		}
		released := found[1] == version && previous == current
		if !released && !older(number, previous) {
			faults = append(faults, fmt.Sprintf("%s stands below %v, which is not newer", found[1], previous))
		}
		previous = number
	}
	if !unreleased && strings.HasSuffix(version, "-dev") {
		faults = append(faults, "VERSION is not released, and the changelog has no [Unreleased]")
	}
	return faults
}

// parseVersion returns the three numbers of a version.
func parseVersion(text string) (numbers [3]int, ok bool) {
	found := semantic.FindStringSubmatch(text)
	if found == nil {
		return numbers, false
	}
	for i := range numbers {
		n, err := strconv.Atoi(found[i+1])
		if err != nil {
			return numbers, false
		}
		numbers[i] = n
	}
	return numbers, true
}

// older reports whether version a comes before b.
func older(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

func TestVersionsAreReadAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	const log = "# Changelog\n\n## [Unreleased]\n\n## [0.10.0] - 2026-11-28\n\n## [0.9.0] - 2026-11-22\n"
	for name, c := range map[string]struct {
		version, log string
		faults       int
	}{
		"in between":    {"0.11.0-dev", log, 0},
		"released":      {"0.10.0", log, 0},
		"behind":        {"0.9.1-dev", log, 1},
		"no version":    {"next", log, 1},
		"no unreleased": {"0.11.0-dev", strings.Replace(log, "## [Unreleased]", "", 1), 1},
		"no date":       {"0.11.0-dev", strings.Replace(log, "2026-11-28", "soon", 1), 1},
		"wrong order":   {"0.11.0-dev", strings.Replace(log, "0.9.0", "0.10.1", 1), 1},
		"no brackets":   {"0.11.0-dev", strings.Replace(log, "[0.9.0]", "0.9.0", 1), 1},
	} {
		if got := checkVersions(c.version, c.log); len(got) != c.faults {
			t.Errorf("%s: got %q, want %d faults", name, got, c.faults)
		}
	}
}
