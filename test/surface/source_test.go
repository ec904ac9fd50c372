package surface

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"batchd/test/harness"
)

// product parses every Go file that can be part of the binary below the given directories of the repository.
func product(t *testing.T, below ...string) []*ast.File {
	t.Helper()
	var files []*ast.File
	for _, dir := range below {
		err := filepath.WalkDir(filepath.Join(harness.Root(t), dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() {
				if forTests(entry.Name()) {
					return fs.SkipDir
				}
				return nil
			}
			if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			files = append(files, file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// forTests reports whether a directory holds what only tests use: data, conformance suites, a disk in memory.
func forTests(dir string) bool {
	return dir == "testdata" || dir == "memfs" || dir == "promise" || strings.HasSuffix(dir, "test")
}

// literal is the value of a string literal.
func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// literals calls found for every string literal and every tag of a field.
func literals(files []*ast.File, found func(text string)) {
	for _, file := range files {
		ast.Inspect(file, func(node ast.Node) bool {
			if e, ok := node.(ast.Expr); ok {
				if text, ok := literal(e); ok {
					found(text)
				}
			}
			return true
		})
	}
}

// variable is how names of our environment variables look. Others are found by how they are read.
var variable = regexp.MustCompile(`^BATCHD(_[A-Z]+)+$`)

// environment lists the environment variables: one for each setting, and those that the source names.
func environment(t *testing.T) list {
	t.Helper()
	found := list{}
	for name := range kinds(t) {
		found.add(name)
	}
	files := product(t, "internal", "cmd")
	literals(files, func(text string) {
		if variable.MatchString(text) {
			found.add(text)
		}
	})
	for _, file := range files {
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if name := calledName(call); name == "Getenv" || name == "LookupEnv" {
				if text, ok := literal(call.Args[0]); ok {
					found.add(text)
				}
			}
			return true
		})
	}
	return found
}

// calledName is the last word of what a call calls.
func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	default:
		return ""
	}
}

// key is how keys of log lines look.
var key = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// withKeysInSource adds the keys of log lines that the source names to those that were seen.
func withKeysInSource(t *testing.T, seen list) list {
	t.Helper()
	for _, file := range product(t, "internal", "cmd") {
		lists, adders := listsOfAny(file), addersOf(file)
		ast.Inspect(file, func(node ast.Node) bool {
			for _, word := range keysAt(node, lists, adders) {
				if key.MatchString(word) {
					seen.add(word)
				}
			}
			return true
		})
	}
	return seen
}

// keysAt returns the words that stand where a node has the keys of a log line.
func keysAt(node ast.Node, lists, adders map[string]bool) []string {
	switch node := node.(type) {
	case *ast.CompositeLit:
		if isListOfAny(node.Type) {
			return everySecond(node.Elts)
		}
	case *ast.CallExpr:
		name := calledName(node)
		if x, ok := node.Fun.(*ast.SelectorExpr); ok && isName(x.X, "slog") && len(node.Args) == 2 {
			return everySecond(node.Args)
		}
		if adders[name] && len(node.Args) == 2 {
			return everySecond(node.Args)
		}
		switch name {
		case "append":
			if first, ok := node.Args[0].(*ast.Ident); ok && lists[first.Name] {
				return everySecond(node.Args[1:])
			}
		case "With":
			return everySecond(node.Args)
		case "Debug", "Info", "Warn", "Error", "Log", "DebugContext", "InfoContext", "WarnContext", "ErrorContext":
			return afterText(node.Args)
		default:
			if len(node.Args) > 2 { // a function of ours that takes a text and hands pairs on
				return afterLevel(node.Args)
			}
		}
	}
	return nil
}

// afterText returns the keys that follow the text of a log line.
func afterText(args []ast.Expr) []string {
	for i, arg := range args {
		if text, ok := literal(arg); ok && (strings.Contains(text, " ") || i == 0) {
			return everySecond(args[i+1:])
		}
	}
	return nil
}

// afterLevel returns the keys that follow a level and a text, which may be a variable.
func afterLevel(args []ast.Expr) []string {
	for i, arg := range args[:len(args)-1] {
		if x, ok := arg.(*ast.SelectorExpr); ok && isName(x.X, "slog") && strings.HasPrefix(x.Sel.Name, "Level") {
			return everySecond(args[i+2:])
		}
	}
	return nil
}

func everySecond(args []ast.Expr) []string {
	var words []string
	for i := 0; i < len(args); i += 2 {
		if text, ok := literal(args[i]); ok {
			words = append(words, text)
		}
	}
	return words
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func isListOfAny(e ast.Expr) bool {
	array, ok := e.(*ast.ArrayType)
	return ok && array.Len == nil && isName(array.Elt, "any")
}

// listsOfAny names the parameters and variables of a file that hold pairs of keys and values.
func listsOfAny(file *ast.File) map[string]bool {
	lists := map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.Field:
			variadic, ok := node.Type.(*ast.Ellipsis)
			if ok && isName(variadic.Elt, "any") || isListOfAny(node.Type) {
				for _, name := range node.Names {
					lists[name.Name] = true
				}
			}
		case *ast.AssignStmt:
			for i, value := range node.Rhs {
				made, ok := value.(*ast.CompositeLit)
				if ok && isListOfAny(made.Type) && i < len(node.Lhs) {
					if name, ok := node.Lhs[i].(*ast.Ident); ok {
						lists[name.Name] = true
					}
				}
			}
		}
		return true
	})
	return lists
}

// addersOf names the closures of a file that append a pair to such a list.
func addersOf(file *ast.File) map[string]bool {
	lists, adders := listsOfAny(file), map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		assign, ok := node.(*ast.AssignStmt)
		if !ok || len(assign.Lhs) != 1 {
			return true
		}
		name, isName := assign.Lhs[0].(*ast.Ident)
		closure, isClosure := assign.Rhs[0].(*ast.FuncLit)
		if !isName || !isClosure {
			return true
		}
		ast.Inspect(closure.Body, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok && calledName(call) == "append" && len(call.Args) == 3 {
				if list, ok := call.Args[0].(*ast.Ident); ok && lists[list.Name] {
					adders[name.Name] = true
				}
			}
			return true
		})
		return true
	})
	return adders
}

// withMetricsInSource adds the families that the source makes with their labels in one place: those have no series before
// something happens, and so a scrape need not show them.
func withMetricsInSource(t *testing.T, scraped list) list {
	t.Helper()
	for _, file := range product(t, "internal", "cmd") {
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok || len(call.Args) != 2 || !strings.HasSuffix(calledName(call), "Vec") {
				return true
			}
			name := optionName(call.Args[0])
			labels, ok := call.Args[1].(*ast.CompositeLit)
			if name == "" || !ok {
				return true
			}
			words := make(list)
			for _, e := range labels.Elts {
				if text, ok := literal(e); ok {
					words.add(text)
				}
			}
			kind := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(calledName(call), "New"), "Vec"))
			scraped.add(familyLine(name, kind, words))
			return true
		})
	}
	return scraped
}

// optionName is the member Name of the options of a metric.
func optionName(options ast.Expr) string {
	made, ok := options.(*ast.CompositeLit)
	if !ok {
		return ""
	}
	for _, e := range made.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok && isName(pair.Key, "Name") {
			text, _ := literal(pair.Value)
			return text
		}
	}
	return ""
}

// fileName is how names and endings stand in the source of files that are there for a moment, or after something went wrong.
var fileName = regexp.MustCompile(`^/?[a-z-]*\.(new|suspect|damaged|unusable|tmp|part|journal|batchd|db|json)$|^(answer-\*|/sort-)$`)

// withNamesInSource adds the names that a run without accidents leaves no file of.
func withNamesInSource(t *testing.T, seen list) list {
	t.Helper()
	for _, dir := range []string{"internal", "cmd"} {
		literals(product(t, dir), func(text string) {
			if fileName.MatchString(text) {
				seen.add("in the source: " + text)
			}
		})
	}
	return seen
}
