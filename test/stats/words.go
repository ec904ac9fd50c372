package main

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"slices"
	"strings"
	"unicode"
)

// unwanted are words of our own for what the field has words for: folder is a directory, life a TTL, care maintenance, a verb
// a method, what is flying is in flight, a kick is a wake-up, meters are metrics, and so on.
var unwanted = map[string]bool{
	"folder": true, "life": true, "care": true, "verb": true, "flying": true, "kick": true, "meters": true, "barren": true,
	"overdraft": true, "hungry": true, "believed": true,
}

// split returns the words of a name like removeHTTPFolder, or of prose.
func split(text string) []string {
	var words []string
	letters := []rune(text)
	start := 0
	flush := func(end int) {
		if end > start {
			words = append(words, strings.ToLower(string(letters[start:end])))
		}
		start = end
	}
	for i, r := range letters {
		switch {
		case !unicode.IsLetter(r):
			flush(i)
			start = i + 1
		case unicode.IsUpper(r) && i > start && (unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])):
			flush(i)
		}
	}
	flush(len(letters))
	return words
}

// wordsIn returns the unwanted words of a name or of prose, plurals among them.
func wordsIn(text string) []string {
	var found []string
	for _, word := range split(text) {
		if one, plural := strings.CutSuffix(word, "s"); plural && unwanted[one] {
			word = one
		}
		if unwanted[word] {
			found = append(found, word)
		}
	}
	return found
}

// wordsLeft finds the unwanted words in the names that a file declares or uses and in its comments.
func wordsLeft(set *token.FileSet, f file, allowed *allowances) []place {
	var found []place
	lines := strings.Split(string(f.text), "\n")
	note := func(text string, pos token.Pos) {
		at := set.Position(pos)
		line := lines[at.Line-1]
		for _, word := range wordsIn(text) {
			if !allowed.has(f.path, word, line) {
				found = append(found, place{word, at})
			}
		}
	}
	ast.Inspect(f.ast, func(node ast.Node) bool {
		if name, ok := node.(*ast.Ident); ok {
			note(name.Name, name.Pos())
		}
		return true
	})
	for _, group := range f.ast.Comments {
		for _, comment := range group.List {
			pos := comment.Pos()
			for line := range strings.Lines(comment.Text) {
				note(line, pos)
				pos += token.Pos(len(line))
			}
		}
	}
	return found
}

// allowances are places where an unwanted word is the right one.
type allowances struct{ all []allowance }

// allowance lets a word stand in the lines of a file that hold a text.
type allowance struct {
	word, path, text string
	used             bool
}

// readAllowed reads a file of lines "WORD PATH TEXT". Lines that begin with # are for people.
func readAllowed(path string) (*allowances, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	var a allowances
	lines := bufio.NewScanner(f)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.SplitN(line, " ", 3)
		if len(fields) != 3 {
			return nil, fmt.Errorf("%s:%d: want WORD PATH TEXT", path, number)
		}
		a.all = append(a.all, allowance{word: fields[0], path: fields[1], text: fields[2]})
	}
	return &a, errors.Join(lines.Err())
}

// has reports whether a word may stand in a line.
func (a *allowances) has(path, word, line string) bool {
	i := slices.IndexFunc(a.all, func(one allowance) bool {
		return one.word == word && one.path == path && strings.Contains(line, one.text)
	})
	if i < 0 {
		return false
	}
	a.all[i].used = true
	return true
}

// unused returns the allowances that nothing needed.
func (a *allowances) unused() []string {
	var left []string
	for _, one := range a.all {
		if !one.used {
			left = append(left, one.word+" "+one.path+" "+one.text)
		}
	}
	return left
}
