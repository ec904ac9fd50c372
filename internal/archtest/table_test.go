package archtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tableRule is the line below the head of a table in Markdown.
var tableRule = regexp.MustCompile(`^\|( *:?-+:? *\|)+$`)

// tableRow is one row of a table, its cells without the spaces around them, and the line of the page that it stands in.
type tableRow struct {
	line  int
	cells []string
}

// tableOf returns the rows of the first table in a section of a page. The section's heading and the table's columns must be
// the given ones, and every row must have a cell for each: a table that tests read may not be read by halves.
func tableOf(page, section string, columns ...string) ([]tableRow, error) {
	var rows []tableRow
	inside, head := false, 0 // head counts the lines of the table's head that were seen
	for number, line := range prose(page) {
		if found := heading.FindStringSubmatch(line); found != nil {
			if len(rows) > 0 {
				break
			}
			inside = found[1] == section
			continue
		}
		line = strings.TrimSpace(line)
		if !inside || !strings.HasPrefix(line, "|") {
			if head > 0 {
				break
			}
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case head == 0 && !slices.Equal(cells, columns):
			return nil, fmt.Errorf("line %d: the columns are %q, want %q", number, cells, columns)
		case head == 1 && !tableRule.MatchString(line):
			return nil, fmt.Errorf("line %d: the line below the columns is %q", number, line)
		case len(cells) != len(columns) || !strings.HasSuffix(line, "|"):
			return nil, fmt.Errorf("line %d: %d cells, want %d: %s", number, len(cells), len(columns), line)
		case head == 2:
			rows = append(rows, tableRow{number, cells})
		}
		head = min(head+1, 2)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("section %q has no table with rows", section)
	}
	return rows, nil
}

// quoted matches a cell that is one `name`.
var quoted = regexp.MustCompile("^`([^`]+)`$")

// unquote returns the name in a cell that is one `name`.
func unquote(cell string) (string, bool) {
	found := quoted.FindStringSubmatch(cell)
	if found == nil {
		return "", false
	}
	return found[1], true
}

func TestTablesAreReadAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	const good = "# Page\n\n| x | y |\n| --- | --- |\n| no | no |\n\n## Here\n\nWords.\n\n" +
		"| a | b |\n| --- | :-: |\n| `one` | 1, 2 |\n| `two` | |\n\nMore words.\n\n| c |\n| --- |\n| d |\n\n## There\n"
	rows, err := tableOf(good, "Here", "a", "b")
	if err != nil || len(rows) != 2 || !slices.Equal(rows[0].cells, []string{"`one`", "1, 2"}) ||
		!slices.Equal(rows[1].cells, []string{"`two`", ""}) || rows[1].line != 14 {
		t.Errorf("got %v, %v", rows, err)
	}
	if name, ok := unquote(rows[0].cells[0]); name != "one" || !ok {
		t.Errorf("got %q, %t", name, ok)
	}
	if name, ok := unquote("`one`, `two`"); ok {
		t.Errorf("two names were read as %q", name)
	}
	for what, bad := range map[string]string{
		"no section":         strings.Replace(good, "## Here", "## Hear", 1),
		"no table":           strings.Replace(good, "| a | b |\n| --- | :-: |\n| `one` | 1, 2 |\n| `two` | |\n\nMore words.\n\n| c |\n| --- |\n| d |\n", "", 1),
		"other columns":      strings.Replace(good, "| a | b |", "| a | c |", 1),
		"no line below head": strings.Replace(good, "| --- | :-: |\n", "", 1),
		"no rows":            strings.Replace(good, "| `one` | 1, 2 |\n| `two` | |\n", "", 1),
		"cell is missing":    strings.Replace(good, "| `two` | |", "| `two` |", 1),
		"cell too many":      strings.Replace(good, "| `two` | |", "| `two` | | |", 1),
		"row is not closed":  strings.Replace(good, "| 1, 2 |", "| 1, 2", 1),
	} {
		if rows, err := tableOf(bad, "Here", "a", "b"); err == nil {
			t.Errorf("%s: read as %v", what, rows)
		}
	}
}
