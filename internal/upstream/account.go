package upstream

import (
	"slices"
	"strings"
	"unicode"

	"batchd/internal/limit"
)

// Words of what an account has, and of its lack. Both in one sentence mean that the account has run dry.
var (
	assets = []string{" balance ", " credit ", " credits ", " funds ", " quota ", " quotas "}
	lacks  = []string{
		" insufficient ", " exceeded ", " exhausted ", " depleted ", " negative ", " not enough ", " too low ", " out of ", " used up ",
		" no balance ", " no credit ", " no credits ", " no quota ",
	}
	// rates are units of limits that pass by themselves, which some servers call quotas.
	rates = []string{" per second ", " per minute ", " rate limit "}
)

// reason returns what the words mean for whatever status they came with, or "". Unlike told it goes by words that may stand
// anywhere in a sentence, hence in a prompt that is quoted: they name why work waits and do not decide whether it does.
func (w words) reason() limit.Reason {
	if told := w.told(); told != "" {
		return told
	}
	for _, text := range []string{w.code, w.kind, w.message[:min(len(w.message), maxQuoted)]} {
		if ranDry(text) {
			return limit.ReasonAccount
		}
	}
	return ""
}

// ranDry reports whether a sentence of the text says that a balance or a quota is used up, other than one of so much a minute.
func ranDry(text string) bool {
	text = strings.ToLower(text)
	if hasAny(spaced(text), rates) {
		return false
	}
	return slices.ContainsFunc(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(".;!?\n", r) }), func(sentence string) bool {
		words := spaced(sentence)
		return hasAny(words, assets) && hasAny(words, lacks)
	})
}

// spaced returns the words of a text with one space before and after each.
func spaced(text string) string {
	return " " + strings.Join(strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) }), " ") + " "
}

func hasAny(text string, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}
