package tenant

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	// keyPrefix begins every key that we mint, so that scanners for leaked secrets know one when they see it.
	keyPrefix = "sk-batchd-"
	// idPrefix begins every key id.
	idPrefix = "key_"
	// idDigits is how many hexadecimal digits an id has, and the key that carries it; secretBytes is what nobody can
	// guess.
	idDigits    = 32
	secretBytes = 32
	// maxKey is the longest credential that is looked at.
	maxKey = 1024
	// minChosen is the shortest key that an operator may choose.
	minChosen = 20
)

// Mint returns a new key: "sk-batchd-", the 32 hexadecimal digits of its id, "-", and 43 characters that nobody can
// guess. It is known to whoever gets it and nobody else; only its hash may be stored.
func Mint() string {
	var raw [idDigits/2 + secretBytes]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the process first
	id, secret := raw[:idDigits/2], raw[idDigits/2:]
	return keyPrefix + hex.EncodeToString(id) + "-" + base64.RawURLEncoding.EncodeToString(secret)
}

// IDOf returns the id of a key, "key_" and 32 hexadecimal digits: those that a minted key carries, and for any other
// text digits that are derived from it. An id says nothing about the secret and may be shown.
func IDOf(text string) string {
	rest, ok := strings.CutPrefix(text, keyPrefix)
	if ok && len(rest) == idDigits+1+base64.RawURLEncoding.EncodedLen(secretBytes) && rest[idDigits] == '-' {
		if digits := rest[:idDigits]; strings.Trim(digits, "0123456789abcdef") == "" {
			return idPrefix + digits
		}
	}
	sum := sha256.Sum256([]byte("batchd key id\n" + text))
	return idPrefix + hex.EncodeToString(sum[:idDigits/2])
}

// HashOf returns what is stored of a key. A minted key has 256 random bits, so a plain SHA-256 cannot be searched.
func HashOf(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }

// CheckChosen says what is wrong with a key that was not minted but chosen, never repeating it: it must have 20 to 1024
// printable ASCII characters and no space, so that it fits into a header and cannot be guessed quickly.
func CheckChosen(text string) error {
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("has a space or a character that is not printable ASCII")
	case len(text) < minChosen:
		return fmt.Errorf("is too short: want at least %d characters, got %d", minChosen, len(text))
	case len(text) > maxKey:
		return fmt.Errorf("is too long: want at most %d characters, got %d", maxKey, len(text))
	default:
		return nil
	}
}

// maxName is the longest name of a tenant.
const maxName = 64

// CheckName says what is wrong with the name of a tenant: it must have 1 to 64 letters, digits, dots, hyphens or
// underscores, so that it can stand in a command, a URL and a metric without quotes.
func CheckName(name string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if name == "" || len(name) > maxName || strings.Trim(name, allowed) != "" {
		return fmt.Errorf("tenant %.80q: want 1 to %d letters, digits, dots, hyphens or underscores", name, maxName)
	}
	return nil
}
