package tenant_test

import (
	"regexp"
	"strings"
	"testing"

	"batchd/internal/tenant"
)

func TestMintedKeysHaveTheirFormAndDiffer(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^sk-batchd-[0-9a-f]{32}-[A-Za-z0-9_-]{43}$`)
	seen := make(map[string]bool)
	for range 1000 {
		text := tenant.Mint()
		if !form.MatchString(text) {
			t.Fatalf("minted %q", text)
		}
		for _, part := range []string{tenant.IDOf(text), text[len(text)-43:]} {
			if seen[part] {
				t.Fatalf("%q was minted twice", part)
			}
			seen[part] = true
		}
		if err := tenant.CheckChosen(text); err != nil {
			t.Errorf("a minted key cannot be given as a chosen one: it %v", err)
		}
	}
}

func TestTheIDOfAMintedKeyIsInIt(t *testing.T) {
	t.Parallel()
	const digits = "00112233445566778899aabbccddeeff"
	if got := tenant.IDOf("sk-batchd-" + digits + "-" + strings.Repeat("x", 43)); got != "key_"+digits {
		t.Errorf("got %s", got)
	}
}

func TestAnyOtherTextHasAnIDDerivedFromIt(t *testing.T) {
	t.Parallel()
	const digits = "00112233445566778899aabbccddeeff"
	form := regexp.MustCompile(`^key_[0-9a-f]{32}$`)
	seen := make(map[string]string)
	for name, text := range map[string]string{
		"empty":             "",
		"chosen":            "correct-horse-battery-staple",
		"of another vendor": "sk-proj-abcdef",
		"prefix only":       "sk-batchd-",
		"secret too short":  "sk-batchd-" + digits + "-" + strings.Repeat("x", 42),
		"secret too long":   "sk-batchd-" + digits + "-" + strings.Repeat("x", 44),
		"no hyphen":         "sk-batchd-" + digits + "x" + strings.Repeat("x", 43),
		"capital digits":    "sk-batchd-" + strings.ToUpper(digits) + "-" + strings.Repeat("x", 43),
		"no digits":         "sk-batchd-" + strings.Repeat("g", 32) + "-" + strings.Repeat("x", 43),
	} {
		id := tenant.IDOf(text)
		if !form.MatchString(id) || id == "key_"+digits {
			t.Errorf("%s: got %q", name, id)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s share an id", name, other)
		}
		seen[id] = name
	}
	// From sha256sum of "batchd key id\nletmein-letmein-letmein": ids that are stored must stay what they are.
	if got := tenant.IDOf("letmein-letmein-letmein"); got != "key_438e28fe434c1d796356bbcb4a100f91" {
		t.Errorf("got %s", got)
	}
}

func FuzzIDOf(f *testing.F) {
	f.Add("")
	f.Add("sk-batchd-00112233445566778899aabbccddeeff-0123456789012345678901234567890123456789012")
	f.Add("sk-batchd--")
	form := regexp.MustCompile(`^key_[0-9a-f]{32}$`)
	f.Fuzz(func(t *testing.T, text string) {
		if id := tenant.IDOf(text); !form.MatchString(id) {
			t.Errorf("%q has the id %q", text, id)
		}
	})
}

func TestChosenKeysAreCheckedWithoutBeingRepeated(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"good":             {"correct-horse-battery", ""},
		"all signs":        {"!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", ""},
		"longest":          {strings.Repeat("x", 1024), ""},
		"empty":            {"", "too short: want at least 20 characters, got 0"},
		"too short":        {strings.Repeat("x", 19), "too short: want at least 20 characters, got 19"},
		"too long":         {strings.Repeat("x", 1025), "too long"},
		"space":            {"correct horse battery staple", "has a space"},
		"end of line":      {"correct-horse-battery\n", "has a space"},
		"beyond ASCII":     {"correct-horse-batterié", "not printable ASCII"},
		"not even Unicode": {"correct-horse-battery\xff", "not printable ASCII"},
		"control":          {"correct-horse-battery\x7f", "not printable ASCII"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tenant.CheckChosen(c.text)
			if c.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "horse") {
				t.Errorf("got %v, want %q in it and not the key", err, c.want)
			}
		})
	}
}

func TestNamesOfTenantsNeedNoQuotes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "default", "Team_7", "acme.com", "-", strings.Repeat("x", 64)} {
		if err := tenant.CheckName(name); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
	for _, name := range []string{"", " ", "a b", "a/b", "é", "a\n", strings.Repeat("x", 65), strings.Repeat("\x00", 1000)} {
		if err := tenant.CheckName(name); err == nil || len(err.Error()) > 600 {
			t.Errorf("%.20q: got %v", name, err)
		}
	}
}
