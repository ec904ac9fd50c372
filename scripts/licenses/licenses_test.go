package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLicencesAreToldByTheirWords(t *testing.T) {
	t.Parallel()
	const bsd = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided"
	for text, want := range map[string][]string{
		"Permission is hereby granted, free of charge,\nto any person obtaining a copy": {"MIT"},
		"                 Apache License\n           Version 2.0, January 2004":         {"Apache-2.0"},
		"// Licensed under the Apache License, Version 2.0":                             {"Apache-2.0"},
		bsd: {"BSD-2-Clause"},
		bsd + " to endorse or promote products derived from":                                   {"BSD-3-Clause"},
		bsd + "\nPermission is hereby granted, free of charge, to any person obtaining a copy": {"MIT", "BSD-2-Clause"},
		"GNU GENERAL PUBLIC LICENSE\nVersion 3":                                                {"GPL"},
		"You may do as you like.":                                                              nil,
	} {
		if got := newDocument("LICENSE", text).kinds; !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestWhatIsMissingUnknownOrForbiddenIsAnError(t *testing.T) {
	t.Parallel()
	good := newDocument("LICENSE", "Permission is hereby granted, free of charge, to any person obtaining a copy")
	for want, documents := range map[string][]document{
		"":                    {good, newDocument("NOTICE", "Made by somebody.")},
		"a v1 has no licence": {newDocument("NOTICE", "Made by somebody.")},
		"a v1: COPYING is no licence that is known":        {good, newDocument("COPYING", "You may do as you like.")},
		"a v1: COPYING is under GPL, which is not allowed": {good, newDocument("COPYING", "GNU General Public License")},
	} {
		text, err := render([]module{{path: "a", version: "v1", documents: documents}})
		if want == "" && (err != nil || !strings.Contains(string(text), "\na v1: MIT\n") || !strings.Contains(string(text), "Made by somebody.")) {
			t.Errorf("got %s, %v", text, err)
		}
		if want != "" && (err == nil || err.Error() != want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestDocumentsOfADirectoryAreRead(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	inner := filepath.Join(root, "inner")
	if err := os.MkdirAll(filepath.Join(inner, "LICENSES"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"LICENSE", "LICENCE.md", "license_test.go", "README", "inner/UNLICENSE", "inner/copying.txt", "NOTICE-2"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("words"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := module{path: "modernc.org/memory"}
	for _, dir := range []string{inner, root} {
		if err := m.read(root, dir); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, d := range m.documents {
		names = append(names, d.name)
	}
	if want := []string{"inner/UNLICENSE", "inner/copying.txt", "LICENCE.md", "LICENSE", "NOTICE-2"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}
