package archtest

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	// inlineLink is [text](target) or ![text](target), with an optional title behind the target.
	inlineLink = regexp.MustCompile(`\]\(<?([^()\s>]+)>?(?:\s+"[^"]*")?\)`)
	// fence begins and ends a block of code.
	fence = regexp.MustCompile("^\\s*(```|~~~)")
	// heading is a line like "## Calls and answers".
	heading = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*$`)
	// codeSpan is `code`, in which nothing is a link.
	codeSpan = regexp.MustCompile("`[^`]*`")
)

func TestLinksInPagesLeadToSomething(t *testing.T) {
	t.Parallel()
	pages := markdownPages(t)
	if len(pages) < 20 {
		t.Errorf("only %d pages were found", len(pages))
	}
	for _, fault := range brokenLinks(os.DirFS(root), pages) {
		t.Error(fault)
	}
}

// markdownPages lists the pages of the repository, those in directories that begin with a dot but .github left out.
func markdownPages(t *testing.T) []string {
	t.Helper()
	var pages []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && name != ".github" && ignored(entry.Name()):
			return fs.SkipDir
		case !entry.IsDir() && path.Ext(name) == ".md":
			pages = append(pages, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// brokenLinks lists the links of pages in a tree that lead to no file, or to no heading of one. Addresses of other hosts
// are left alone: whether they answer today is not a property of the tree.
func brokenLinks(tree fs.FS, pages []string) []string {
	var faults []string
	for _, page := range pages {
		text, err := fs.ReadFile(tree, page)
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		for _, link := range linksOf(string(text)) {
			if problem := follow(tree, page, link.target); problem != "" {
				faults = append(faults, fmt.Sprintf("%s:%d: link to %s: %s", page, link.line, link.target, problem))
			}
		}
	}
	return faults
}

type link struct {
	line   int
	target string
}

func linksOf(text string) []link {
	var links []link
	for number, line := range prose(text) {
		for _, found := range inlineLink.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, ""), -1) {
			links = append(links, link{number, found[1]})
		}
	}
	return links
}

// prose yields the lines outside of blocks of code with their numbers.
func prose(text string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		inside, number := false, 0
		for line := range strings.Lines(text) {
			number++
			if fence.MatchString(line) {
				inside = !inside
			} else if !inside && !yield(number, strings.TrimRight(line, "\r\n")) {
				return
			}
		}
	}
}

// follow says why a link leads nowhere, or nothing.
func follow(tree fs.FS, page, target string) string {
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return ""
	}
	name, anchor, anchored := strings.Cut(target, "#")
	file := page
	if name != "" {
		file = path.Join(path.Dir(page), name)
	}
	info, err := fs.Stat(tree, file)
	if err != nil {
		return "there is no such file"
	}
	if !anchored || info.IsDir() || path.Ext(file) != ".md" {
		return ""
	}
	text, err := fs.ReadFile(tree, file)
	if err != nil {
		return err.Error()
	}
	if !slices.Contains(anchorsOf(string(text)), anchor) {
		return "there is no such heading"
	}
	return ""
}

// anchorsOf lists the anchors that forges make of a page's headings: lower case, spaces as hyphens, punctuation left out, a
// number behind those that come again.
func anchorsOf(text string) []string {
	var anchors []string
	for _, line := range prose(text) {
		found := heading.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		title := strings.ToLower(inlineLink.ReplaceAllString(strings.ReplaceAll(found[1], "[", ""), ""))
		base := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return r
			default:
				return -1
			}
		}, title)
		anchor := base
		for n := 1; slices.Contains(anchors, anchor); n++ {
			anchor = fmt.Sprintf("%s-%d", base, n)
		}
		anchors = append(anchors, anchor)
	}
	return anchors
}

func TestLinksAreFoundAndFollowedAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"there.md": "# One thing\n\n## One thing\n\n```\n# not a heading\n```\n\n## `code` and [a link](x), both!\n",
		"page.md": "[a](there.md) [b](there.md#one-thing) [c](there.md#one-thing-1) [d](#here) [e](https://example.com/x) [f](sub)\n" +
			"[g](there.md#code-and-a-link-both) `[no link](gone.md)`\n\n# Here\n```\n[no link](gone.md)\n```\n" +
			"[h](gone.md)\n[i](there.md#not-a-heading) ![j](gone.png \"title\")\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"page.md:8: link to gone.md: there is no such file",
		"page.md:9: link to there.md#not-a-heading: there is no such heading",
		"page.md:9: link to gone.png: there is no such file",
	}
	if got := brokenLinks(os.DirFS(dir), []string{"page.md"}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
