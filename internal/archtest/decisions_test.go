package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	decisionName   = regexp.MustCompile(`^(\d{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.md$`)
	decisionHeader = regexp.MustCompile(`^# (\d+)\. (.+)\n\nDate: (\S+)\. Status: (proposed|accepted|superseded by \[\d+\]\([^)]+\))\.\n`)
)

func TestDecisionsAreNumberedAndListed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root, "docs", "adr")
	index, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	for _, entry := range entries {
		if entry.Name() == "README.md" {
			continue
		}
		number++
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range checkDecision(number, entry.Name(), string(text), string(index)) {
			t.Errorf("docs/adr/%s: %s", entry.Name(), fault)
		}
	}
}

// checkDecision lists what is wrong with a decision's page and its row in the index.
func checkDecision(number int, name, text, index string) []string {
	var faults []string
	if found := decisionName.FindStringSubmatch(name); found == nil || found[1] != fmt.Sprintf("%04d", number) {
		faults = append(faults, fmt.Sprintf("want a name that begins with %04d- and says the rest in small letters", number))
	}
	header := decisionHeader.FindStringSubmatch(text)
	if header == nil {
		return append(faults, `want "# N. Title", an empty line and "Date: YYYY-MM-DD. Status: accepted." at the beginning`)
	}
	title, date, status := header[2], header[3], header[4]
	if header[1] != fmt.Sprint(number) {
		faults = append(faults, fmt.Sprintf("the title has number %s, the name %d", header[1], number))
	}
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		faults = append(faults, fmt.Sprintf("%s is no date", date))
	}
	if row := fmt.Sprintf("| [%d. %s](%s) | %s | %s | ", number, title, name, date, status); !strings.Contains(index, row) {
		faults = append(faults, fmt.Sprintf("README.md has no row that begins %q", row))
	}
	return faults
}

func TestDecisionsAreReadAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	const good = "# 3. A thing\n\nDate: 2026-11-28. Status: accepted.\n\nText.\n"
	const row = "| [3. A thing](0003-thing.md) | 2026-11-28 | accepted | why |\n"
	for name, c := range map[string]struct {
		file, text, index string
		faults            int
	}{
		"good":           {"0003-thing.md", good, row, 0},
		"superseded":     {"0003-thing.md", strings.Replace(good, "accepted", "superseded by [9](0009-other.md)", 1), strings.Replace(row, "accepted", "superseded by [9](0009-other.md)", 1), 0},
		"not numbered":   {"thing.md", good, strings.Replace(row, "0003-", "", 1), 1},
		"other number":   {"0003-thing.md", strings.Replace(good, "3.", "4.", 1), row, 1},
		"no date":        {"0003-thing.md", strings.Replace(good, "2026-11-28", "2026-11-31", 1), strings.Replace(row, "2026-11-28", "2026-11-31", 1), 1},
		"no status":      {"0003-thing.md", strings.Replace(good, "accepted", "fine", 1), row, 1},
		"not listed":     {"0003-thing.md", good, "", 1},
		"other in index": {"0003-thing.md", good, strings.Replace(row, "accepted", "proposed", 1), 1},
	} {
		if got := checkDecision(3, c.file, c.text, c.index); len(got) != c.faults {
			t.Errorf("%s: got %q, want %d faults", name, got, c.faults)
		}
	}
}
