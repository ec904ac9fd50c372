package blob

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
)

// The longest key, and the longest of its segments: a segment is a file's name on some backends.
const (
	maxKey     = 512
	maxSegment = 200
)

// Files is the kind of the objects that hold what is read as a user's file.
const Files = "files"

// RandomKey returns a key of its own for an object of a kind, like Files. It has nothing to do with names or ids of
// users.
func RandomKey(kind string) string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the process first
	return kind + "/" + hex.EncodeToString(raw[:])
}

// CheckKey returns nil if key may name an object and ErrBadKey otherwise. A key is made of slash-separated segments
// of [A-Za-z0-9._-], none of them empty, "." or "..", each at most 200 bytes and all together at most 512.
func CheckKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("%w: %d bytes", ErrBadKey, len(key))
	}
	for segment := range strings.SplitSeq(key, "/") {
		if !validSegment(segment) {
			return fmt.Errorf("%w: %q", ErrBadKey, key)
		}
	}
	return nil
}

// validSegment reports whether a key may hold s between its slashes. "." and ".." are what would lead out of a
// directory.
func validSegment(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > maxSegment {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
