package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"batchd/internal/dialect/vendors"
)

// Source is the places that settings are read from. Later ones win: the file over the defaults, the environment over the file,
// flags over the environment.
type Source struct {
	// File is the path of a YAML file; "" for none.
	File string
	// Environ is the environment as os.Environ returns it. Variables that are no setting's are ignored.
	Environ []string
	// Flags are what the command line sets, in the order in which it counts.
	Flags []Flag
	// NoCalls is set by commands that call no upstream: they need no upstream's key in their environment.
	NoCalls bool
}

// Flag is a setting from the command line.
type Flag struct {
	// Name is what the user wrote, like "--listen"; it is only shown.
	Name string
	Key  string
	// Values are one text, or any number of them for a list.
	Values []string
}

// bootstrapVariable is the one setting that has no key: nothing but the environment may hold it.
const bootstrapVariable = "BATCHD_BOOTSTRAP_KEY"

// assignment sets one key from one source.
type assignment struct {
	// where is what the user finds it by: a place in a file, a variable, a flag.
	where string
	key   string
	value value
}

// fault is one thing that is wrong with the settings.
type fault struct {
	where string
	key   string
	err   error
}

// Error names the place, the key and what is wrong.
func (f fault) Error() string {
	switch {
	case f.key == "":
		return f.where + ": " + f.err.Error()
	case f.where == "":
		return f.key + ": " + f.err.Error()
	default:
		return f.where + ": " + f.key + ": " + f.err.Error()
	}
}

// Unwrap returns the reason without its place.
func (f fault) Unwrap() error { return f.err }

// Load reads all sources. The error joins everything that is wrong with any of them; whether the settings make sense
// together is for Validate to say.
func Load(src Source) (Config, error) {
	var assignments []assignment
	var faults []error
	if src.File != "" {
		assignments, faults = readFile(src.File)
	}
	for _, s := range settings() {
		name := variable(s.key)
		if text, ok := lookup(src.Environ, name); ok {
			assignments = append(assignments, assignment{where: name, key: s.key, value: value{text: text}})
		}
	}
	for _, f := range src.Flags {
		v := value{form: formList, list: f.Values}
		if len(f.Values) == 1 && f.Key != "upstreams" { // a URL may hold a comma, by which a text would be split
			v = value{text: f.Values[0]}
		}
		assignments = append(assignments, assignment{where: f.Name, key: f.Key, value: v})
	}
	c, wrong := build(assignments)
	faults = append(faults, wrong...)
	bootstrap, _ := lookup(src.Environ, bootstrapVariable)
	c.Auth.BootstrapKey = Secret(bootstrap)
	if !src.NoCalls {
		faults = append(faults, missingKeys(c, src.Environ)...)
	}
	return c, errors.Join(faults...)
}

// lookup returns the value of a variable, the first of the name as programs read it.
func lookup(environ []string, name string) (string, bool) {
	for _, pair := range environ {
		if text, ok := strings.CutPrefix(pair, name+"="); ok {
			return text, true
		}
	}
	return "", false
}

// build applies assignments to the defaults, in order. What stands for all upstreams comes last: it counts for those
// that a later source names, too. A vendor's own limits are other defaults, so that a limit that somebody wrote down
// still counts.
func build(assignments []assignment) (Config, []error) {
	slices.SortStableFunc(assignments, func(a, b assignment) int { return rank(a.key) - rank(b.key) })
	c, faults := apply(Default(), assignments)
	for _, v := range vendors.All() {
		if v.Defaults == nil {
			continue
		}
		if d, changed := v.Defaults(c.Vendors[v.Name]); changed {
			base := Default()
			base.Limits.MaxLines, base.Limits.MaxFileBytes = d.MaxLines, d.MaxFileBytes
			base.Windows, base.AnyWindow, base.Retention.Output = d.Windows, false, d.OutputTTL
			c, _ = apply(base, assignments) // the faults are the same
		}
	}
	return c, faults
}

// rank orders assignments: those that stand for all upstreams come after those that name upstreams.
func rank(key string) int {
	if inFile(key) {
		return 0
	}
	return 1
}

// apply makes assignments in order, so that the last one of a key counts, and returns what is wrong with any of them.
func apply(c Config, assignments []assignment) (Config, []error) {
	var faults []error
	for _, a := range assignments {
		s, ok := find(a.key)
		if !ok {
			faults = append(faults, fault{a.where, a.key, errors.New("unknown key")})
			continue
		}
		if err := s.set(&c, a.value); err != nil {
			f := fault{a.where, a.key, err}
			if strings.HasPrefix(a.where, "-") || a.where == variable(a.key) {
				f.key = "" // a flag or a variable names the key itself
			}
			faults = append(faults, f)
		}
	}
	return c, faults
}

// missingKeys reports the upstreams whose key is in a variable that is not there: better at start than with the first
// call.
func missingKeys(c Config, environ []string) []error {
	var faults []error
	for i, u := range c.Upstreams {
		if u.APIKeyEnv == "" {
			continue
		}
		if key, _ := lookup(environ, u.APIKeyEnv); strings.TrimSpace(key) == "" {
			faults = append(faults, fault{
				"", fmt.Sprintf("upstreams[%d].api_key_env", i),
				fmt.Errorf("environment variable %s is empty or not set; put the upstream's key into it", u.APIKeyEnv),
			})
		}
	}
	return faults
}
