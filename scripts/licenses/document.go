package main

import (
	"path"
	"slices"
	"strings"
)

// allowed are the licences that batchd, which is under Apache-2.0, may link: those that ask for no more than to be shown.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "Public domain", "Unlicense"}

// phrases tell licences apart, in small letters and with single spaces. Those that are not allowed are here to be called by
// their names.
var phrases = []struct{ kind, phrase string }{
	{"Apache-2.0", "apache license version 2.0"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"Public domain", "dedicated to the public domain by the authors"},
	{"Public domain", "the author disclaims copyright to this source code"},
	{"Unlicense", "this is free and unencumbered software released into the public domain"},
	{"AGPL", "gnu affero general public license"},
	{"GPL", "gnu general public license"},
	{"LGPL", "gnu lesser general public license"},
	{"MPL-2.0", "mozilla public license"},
	{"EPL", "eclipse public license"},
	{"SSPL", "server side public license"},
	{"BUSL", "business source license"},
	{"Commons Clause", "commons clause"},
	{"Creative Commons", "creative commons"},
}

// document is a file about copying.
type document struct {
	// name is its path in the module, with slashes.
	name string
	text string
	// kinds are the licences that it holds, none for one that is not known.
	kinds []string
}

// newDocument reads which licences a text holds.
func newDocument(name, text string) document {
	d := document{name: name, text: text}
	words := strings.NewReplacer(", version", " version", "<br>", " ", "*", " ", "#", " ", ">", " ", "//", " ").Replace(strings.ToLower(text))
	words = strings.Join(strings.Fields(words), " ")
	for _, p := range phrases {
		if strings.Contains(words, p.phrase) && !slices.Contains(d.kinds, p.kind) {
			d.kinds = append(d.kinds, p.kind)
		}
	}
	if strings.Contains(words, "redistribution and use in source and binary forms, with or without modification, are permitted") {
		kind := "BSD-2-Clause"
		if strings.Contains(words, "endorse or promote products derived from") {
			kind = "BSD-3-Clause"
		}
		d.kinds = append(d.kinds, kind)
	}
	return d
}

// informs reports whether a document needs no licence in it: it stands beside one.
func (d document) informs() bool {
	name := strings.ToLower(path.Base(d.name))
	return strings.HasPrefix(name, "notice") || strings.HasPrefix(name, "patents") || strings.HasPrefix(name, "copyright")
}

// leftOut are documents about what is not in the binary, by module and name, with what they are about.
var leftOut = map[string]string{
	"modernc.org/memory LICENSE-LOGO":         "the project's logo",
	"modernc.org/sqlite LICENSE-SQLITE_VEC":   "package vec, which is not linked",
	"modernc.org/sqlite LICENSE-3RD-PARTY.md": "the whole repository, its tests and tools included; what is linked is listed here by itself",
}
