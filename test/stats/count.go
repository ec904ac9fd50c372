package main

import (
	"bytes"
	"go/ast"
	"go/token"
	"strings"
)

// counts is what is counted of one package, or of several together.
type counts struct {
	dir string
	// files and functions are lengths in lines.
	files, functions []int
	// nonBlank and comment are lines; comment counts those with a comment on them, or a part of one.
	nonBlank, comment int
	// single are the unexported functions with exactly one caller, apart those of these whose caller stands in another file.
	single, apart []place
	// exported is how many exported names there are, documented how many of them have a comment.
	exported, documented int
	// tests is how many test files there are, inside those that belong to the package they test.
	tests, inside int
	// words are places of words that we do not use.
	words []place
}

// place is something at a line.
type place struct {
	what string
	at   token.Position
}

// count counts one package.
func count(p *pkg, allowed *allowances) counts {
	c := counts{dir: p.dir}
	for _, f := range p.files {
		c.lengths(p.set, f)
		c.lines(p.set, f)
		c.exports(f)
		if strings.HasPrefix(p.dir, "internal/") || strings.HasPrefix(p.dir, "cmd/") {
			c.words = append(c.words, wordsLeft(p.set, f, allowed)...)
		}
	}
	for _, f := range p.tests {
		c.tests++
		if !strings.HasSuffix(f.ast.Name.Name, "_test") {
			c.inside++
		}
	}
	c.callers(p)
	return c
}

func (c *counts) lengths(set *token.FileSet, f file) {
	c.files = append(c.files, bytes.Count(f.text, []byte("\n")))
	for _, declaration := range f.ast.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok {
			c.functions = append(c.functions, set.Position(function.End()).Line-set.Position(function.Pos()).Line+1)
		}
	}
}

// lines counts what is written and what of it is comments.
func (c *counts) lines(set *token.FileSet, f file) {
	commented := make(map[int]bool)
	for _, group := range f.ast.Comments {
		for _, comment := range group.List {
			from, to := set.Position(comment.Pos()), set.Position(comment.End())
			for line := from.Line; line <= to.Line; line++ {
				commented[line] = true
			}
		}
	}
	c.comment += len(commented)
	for line := range bytes.Lines(f.text) {
		if len(bytes.TrimSpace(line)) > 0 {
			c.nonBlank++
		}
	}
}

// add adds the counts of another package.
func (c *counts) add(o counts) {
	c.files = append(c.files, o.files...)
	c.functions = append(c.functions, o.functions...)
	c.nonBlank += o.nonBlank
	c.comment += o.comment
	c.single = append(c.single, o.single...)
	c.apart = append(c.apart, o.apart...)
	c.exported += o.exported
	c.documented += o.documented
	c.tests += o.tests
	c.inside += o.inside
	c.words = append(c.words, o.words...)
}
