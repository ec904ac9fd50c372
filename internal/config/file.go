package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// file reads a YAML file. It walks the tree itself instead of decoding it, so that every unknown key and every wrong
// value is found, each with its place: whoever mends a file mends it once.
type file struct {
	path        string
	assignments []assignment
	faults      []error
}

// readFile returns what a file sets, and everything that is wrong with it.
func readFile(path string) ([]assignment, []error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, []error{fmt.Errorf("read configuration: %w", err)}
	}
	f := file{path: path}
	tree, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %s", path, yaml.FormatError(err, false, false))}
	}
	for i, doc := range tree.Docs {
		if i > 0 && doc.Body != nil {
			f.fault(doc.Body, "", errors.New("a second document; put everything into one"))
			break
		}
		f.walk("", doc.Body)
	}
	return f.assignments, f.faults
}

// fault notes what is wrong at a node, with its line and column.
func (f *file) fault(node ast.Node, key string, err error) {
	f.faults = append(f.faults, fault{f.at(node), key, err})
}

// at returns a node's place as editors and terminals take it: PATH:LINE:COLUMN.
func (f *file) at(node ast.Node) string {
	position := node.GetToken().Position
	return fmt.Sprintf("%s:%d:%d", f.path, position.Line, position.Column)
}

// entries returns the pairs of a mapping, however many it has.
func entries(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	default:
		return nil, false
	}
}

// walk collects the settings in a mapping, each a setting of its own or a section with more of them. prefix is what the keys
// of this mapping begin with, "" or ending in a dot.
func (f *file) walk(prefix string, node ast.Node) {
	if node == nil {
		return
	}
	pairs, ok := entries(node)
	if !ok {
		if _, comment := node.(*ast.CommentGroupNode); !comment {
			f.fault(node, strings.TrimSuffix(prefix, "."), errors.New("want a mapping of keys to values"))
		}
		return
	}
	for _, pair := range pairs {
		key := prefix + keyText(pair.Key)
		_, known := find(key)
		switch {
		case known && inFile(key):
			v, err := f.value(key, pair.Value)
			if err != nil {
				f.fault(pair.Key, key, err)
				continue
			}
			f.assignments = append(f.assignments, assignment{where: f.at(pair.Key), key: key, value: v})
		case slices.ContainsFunc(settings(), func(s setting) bool { return strings.HasPrefix(s.key, key+".") }):
			f.walk(key+".", pair.Value) // a section: keys of settings begin with its name
		case !inFile(key):
			f.fault(pair.Key, key, errors.New("unknown key; it belongs to each entry of upstreams"))
		default:
			f.fault(pair.Key, key, errors.New("unknown key"))
		}
	}
}

// keyText returns a key as it was written, be it a string, a number or one of the words of YAML.
func keyText(key ast.MapKeyNode) string { return key.GetToken().Value }

// value reads what stands behind a key.
func (f *file) value(key string, node ast.Node) (value, error) {
	if s, ok := scalar(node); ok {
		return value{text: s}, nil
	}
	if pairs, ok := entries(node); ok {
		m, err := scalars(pairs)
		return value{pairs: m, form: formPairs}, err
	}
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		return value{}, errors.New("has no value that is understood here; give one or remove the key")
	}
	if key == "upstreams" && len(sequence.Values) > 0 {
		if _, mappings := entries(sequence.Values[0]); mappings {
			return value{upstreams: f.upstreams(sequence), form: formUpstreams}, nil
		}
	}
	v := value{form: formList, list: []string{}}
	for _, element := range sequence.Values {
		s, ok := scalar(element)
		if !ok {
			return value{}, errors.New("want a list of plain values")
		}
		v.list = append(v.list, s)
	}
	return v, nil
}

// scalar returns the text of a plain value as it was written.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

// scalars returns a mapping whose values are plain.
func scalars(pairs []*ast.MappingValueNode) (map[string]string, error) {
	m := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		s, ok := scalar(pair.Value)
		if !ok {
			return nil, fmt.Errorf("%s: want a plain value", keyText(pair.Key))
		}
		m[keyText(pair.Key)] = s
	}
	return m, nil
}

// upstreams reads the list of upstreams, noting what is wrong with each.
func (f *file) upstreams(sequence *ast.SequenceNode) []Upstream {
	var all []Upstream
	for i, element := range sequence.Values {
		prefix := fmt.Sprintf("upstreams[%d]", i)
		pairs, ok := entries(element)
		if !ok {
			f.fault(element, prefix, errors.New("want a mapping with a url"))
			continue
		}
		var u Upstream
		for _, pair := range pairs {
			name := keyText(pair.Key)
			v, err := f.value(name, pair.Value)
			if err == nil {
				err = setOfUpstream(&u, name, v)
			}
			if err != nil {
				f.fault(pair.Key, prefix+"."+name, err)
			}
		}
		all = append(all, u)
	}
	return all
}

// setOfUpstream sets one key of an upstream.
func setOfUpstream(u *Upstream, name string, v value) (err error) {
	switch name {
	case "url":
		u.URL, err = v.scalar()
	case "models":
		u.Models, err = v.elements()
	case "concurrency":
		u.Concurrency, err = parseConcurrency(v.text)
	case "shared":
		var s string
		if s, err = v.scalar(); err == nil {
			u.Shared, err = parseBool(s)
		}
	case "api_key_env":
		u.APIKeyEnv, err = v.scalar()
	case "api_key_file":
		u.APIKeyFile, err = v.scalar()
	case "headers":
		u.Headers, err = v.mapping()
	case "timeouts":
		u.Timeouts, err = timeouts(v)
	case "request_id_header":
		u.RequestIDHeader, err = headerName(v)
	case "idempotency_key_header":
		u.IdempotencyKeyHeader, err = headerName(v)
	case "rpm", "tpm":
		err = errors.New("not available yet; bound the load by concurrency and remove the key")
	default:
		err = errors.New("unknown key")
	}
	return err
}

// timeouts reads those of one upstream: some phases by their names, each with its length.
func timeouts(v value) (Timeouts, error) {
	var t Timeouts
	given, err := v.mapping()
	for name, text := range given {
		phases := t.phases()
		i := slices.IndexFunc(phases, func(p phase) bool { return p.name == name })
		if i < 0 {
			return t, fmt.Errorf("%s: unknown key; there are dial, tls, first_byte, idle and total", name)
		}
		limit, err := ParseDuration(text)
		if err == nil && limit == 0 {
			err = errors.New("want more than nothing; leave the key out for that of all upstreams")
		}
		if err != nil {
			return t, fmt.Errorf("%s: %w", name, err)
		}
		*phases[i].limit = limit
	}
	return t, err
}

// headerName reads the name of a header, or the word for none.
func headerName(v value) (string, error) {
	name, err := v.scalar()
	if err == nil && name == "" {
		err = fmt.Errorf("is empty; name a header, or write %s to leave it out", NoHeader)
	}
	return name, err
}
