package openai

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
)

// OpenAI's bounds of metadata, in pairs and in characters.
const (
	maxPairs      = 16
	maxKeyChars   = 64
	maxValueChars = 512
)

// parseMetadata checks metadata and returns it without insignificant white space, nil for none.
func parseMetadata(v jsontext.Value) ([]byte, error) {
	if len(v) == 0 || v.Kind() == jsontext.KindNull {
		return nil, nil
	}
	if v.Kind() != jsontext.KindBeginObject {
		return nil, wrongType("metadata", codeType, "an object", v)
	}
	pairs, err := parseObject(v)
	if err != nil {
		return nil, err
	}
	if len(pairs) > maxPairs {
		return nil, batch.Invalidf("metadata", "object_above_max_properties",
			"Invalid 'metadata': too many properties. Expected an object with at most %d properties, but got an object with %d properties instead.", maxPairs, len(pairs))
	}
	for _, key := range sortedKeys(pairs) {
		if err := checkPair(key, pairs[key]); err != nil {
			return nil, err
		}
	}
	compact := slices.Clone(v)
	if err := compact.Compact(); err != nil {
		return nil, batch.Invalidf("metadata", codeValue, "Invalid 'metadata': the object is malformed.")
	}
	return compact, nil
}

// checkPair refuses control characters as well as what OpenAI refuses: metadata is shown in terminals and sent in
// webhooks, where a line break starts something else.
func checkPair(key string, v jsontext.Value) error {
	param := "metadata." + clip(key, maxKeyChars)
	if n := utf8.RuneCountInString(key); n > maxKeyChars {
		return batch.Invalidf("metadata", codeTooLong,
			"Invalid property name in 'metadata': too long. Expected at most %d characters, but got %d instead.", maxKeyChars, n)
	}
	if strings.ContainsFunc(key, unicode.IsControl) {
		return batch.Invalidf("metadata", codeValue, "Invalid property name in 'metadata': control characters are not allowed.")
	}
	s, err := text(param, v)
	if err != nil {
		return err
	}
	if n := utf8.RuneCountInString(s); n > maxValueChars {
		return batch.Invalidf(param, codeTooLong,
			"Invalid '%s': string too long. Expected a string with maximum length %d, but got a string with length %d instead.", param, maxValueChars, n)
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return batch.Invalidf(param, codeValue, "Invalid '%s': control characters are not allowed.", param)
	}
	return nil
}

// sortedKeys makes the fault that is reported first the same one every time.
func sortedKeys(m members) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// parseExpiry reads output_expires_after and returns the life in seconds, 0 for none given.
func parseExpiry(v jsontext.Value) (int64, error) {
	const param = "output_expires_after"
	if len(v) == 0 || v.Kind() == jsontext.KindNull {
		return 0, nil
	}
	if v.Kind() != jsontext.KindBeginObject {
		return 0, wrongType(param, codeType, "an object", v)
	}
	m, err := parseObject(v)
	if err != nil {
		return 0, err
	}
	anchor, err := m.text(param+".", "anchor")
	if err != nil {
		return 0, err
	}
	if anchor != "created_at" {
		return 0, unsupported(param+".anchor", anchor, []string{"created_at"})
	}
	if !m.has("seconds") {
		return 0, missing(param + ".seconds")
	}
	seconds := m["seconds"]
	if seconds.Kind() != jsontext.KindNumber || bytes.ContainsAny(seconds, ".eE") {
		return 0, wrongType(param+".seconds", codeType, "an integer", seconds)
	}
	return checkLife(param+".seconds", string(seconds))
}

// checkLife reads the life of a file, written in decimal digits.
func checkLife(param, digits string) (int64, error) {
	// An integer too large for int64 saturates, with an error that the range check below words better.
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case n > thirtyDays:
		return 0, batch.Invalidf(param, codeAbove, "Invalid '%s': integer above maximum value. Expected a value <= %d, but got %s instead.", param, thirtyDays, clip(digits, shownValue))
	case n < oneHour && (err == nil || n < 0):
		return 0, batch.Invalidf(param, codeBelow, "Invalid '%s': integer below minimum value. Expected a value >= %d, but got %s instead.", param, oneHour, clip(digits, shownValue))
	case err != nil:
		return 0, batch.Invalidf(param, codeType, "Invalid type for '%s': expected an integer, but got a string instead.", param)
	}
	return n, nil
}
