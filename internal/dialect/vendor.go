package dialect

import "time"

// Vendor describes a vendor whose API batchd speaks: all that the rest of the program needs to know of it. Each has a package
// of its own; package vendors lists them.
type Vendor struct {
	// Name names the vendor's dialect in settings and in stored objects, and comes before the keys of its settings.
	Name string
	// Prefix is the path under which this dialect is spoken where nothing else about a call chooses one, like "/openai/v1"; ""
	// for none.
	Prefix string
	// Aliases are further paths under which all is as under Prefix, a longer one before those that it ends in.
	Aliases []string
	// Parameter is what calls of clients who want this dialect have in their query, like "api-version"; "" for nothing.
	Parameter string
	// Switches are its settings. In files each is NAME.KEY.
	Switches []Switch
	// Defaults returns the server's defaults, for every dialect, where the vendor's settings change them, and false where they
	// do not. Nil means that they never do.
	Defaults func(s Settings) (Defaults, bool)
	// Profile returns what holds for calls in the dialect. It fails for settings that no switch takes.
	Profile func(s Settings, server Server) (Profile, error)
}

// Switch is one setting of a vendor's dialect.
type Switch struct {
	Key string
	// OnOff makes it one that is "true" or "false", and "false" by default.
	OnOff bool
	// Words are what another takes, the default first; nil for any text that Check passes, of which "" is the default.
	Words []string
	// Check returns what is wanted in place of a text, as part of a sentence; nil takes every text.
	Check func(text string) error
}

// Default returns what holds if nothing is set.
func (s Switch) Default() string {
	switch {
	case s.OnOff:
		return off
	case len(s.Words) > 0:
		return s.Words[0]
	default:
		return ""
	}
}

const (
	on  = "true"
	off = "false"
)

// Settings are the values of a vendor's switches by their keys.
type Settings map[string]string

// On reports whether a switch of two positions is on.
func (s Settings) On(key string) bool { return s[key] == on }

// DefaultSettings returns the vendor's settings if nothing is set. The map is the caller's.
func (v Vendor) DefaultSettings() Settings {
	s := make(Settings, len(v.Switches))
	for _, w := range v.Switches {
		s[w.Key] = w.Default()
	}
	return s
}

// Defaults replace batchd's own defaults. A setting that is written down anywhere comes before them.
type Defaults struct {
	MaxLines, MaxFileBytes int64
	Windows                []string
	OutputTTL              time.Duration
}
