// Package vendors lists the vendors that batchd speaks like. It is the one place outside their own packages that names
// them: a further one is a package beside this one and a line here.
package vendors

import (
	"fmt"
	"net/url"

	"batchd/internal/dialect"
	"batchd/internal/dialect/neosantara"
	"batchd/internal/dialect/novita"
	"batchd/internal/dialect/openai"
)

// All returns all vendors. The first is spoken where nothing else is said.
func All() []dialect.Vendor {
	return []dialect.Vendor{
		openai.Vendor(),
		novita.Vendor(),
		neosantara.Vendor(),
	}
}

// Names returns the names of all dialects, the default first.
func Names() []string {
	var names []string
	for _, v := range All() {
		names = append(names, v.Name)
	}
	return names
}

// Prefixes returns the path prefixes of single vendors, aliases among them. One that ends in another is before it.
func Prefixes() []string {
	var prefixes []string
	for _, v := range All() {
		if v.Prefix != "" {
			prefixes = append(prefixes, v.Prefix)
		}
		prefixes = append(prefixes, v.Aliases...)
	}
	return prefixes
}

// ForQuery returns the name of the dialect that the query of a call chooses, false where it chooses none.
func ForQuery(query url.Values) (name string, ok bool) {
	for _, v := range All() {
		if v.Parameter != "" && query.Has(v.Parameter) {
			return v.Name, true
		}
	}
	return "", false
}

// Profiles returns every vendor's profile by its name, as the settings of all, by the same names, ask for.
func Profiles(settings map[string]dialect.Settings, server dialect.Server) (map[string]dialect.Profile, error) {
	profiles := make(map[string]dialect.Profile)
	for _, v := range All() {
		p, err := v.Profile(settings[v.Name], server)
		if err != nil {
			return nil, fmt.Errorf("dialect %s: %w", v.Name, err)
		}
		profiles[v.Name] = p
	}
	return profiles, nil
}
