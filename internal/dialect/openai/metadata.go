package openai

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// OpenAI's bounds of metadata, in pairs and in characters. What they refuse, OpenAI refuses too.
const (
	maxPairs      = 16
	maxKeyChars   = 64
	maxValueChars = 512
)

// parseMetadata checks metadata and returns it without insignificant white space, nil for none.
func (d *Dialect) parseMetadata(v jsontext.Value) ([]byte, error) {
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
	// A vendor that takes any values bounds only how much they are together.
	if limit := d.variant.MetadataBytes; limit > 0 {
		return compactMetadata(v, limit)
	}
	if len(pairs) > maxPairs {
		return nil, batch.Invalidf("metadata", "object_above_max_properties",
			"Invalid 'metadata': too many properties. Expected an object with at most %d properties, but got an object with %d properties instead.", maxPairs, len(pairs))
	}
	// In order, so that the fault that is reported first is the same one every time.
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		if err := checkPair(key, pairs[key]); err != nil {
			return nil, err
		}
	}
	return compactMetadata(v, len(v))
}

// compactMetadata returns an object without insignificant white space, if it then has at most limit bytes. Members keep their
// order, and numbers their digits: what a client reads back is what it wrote.
func compactMetadata(v jsontext.Value, limit int) ([]byte, error) {
	compact := slices.Clone(v)
	if err := compact.Compact(); err != nil {
		return nil, batch.Invalidf("metadata", codeValue, "Invalid 'metadata': the object is malformed.")
	}
	if len(compact) > limit {
		return nil, batch.Invalidf("metadata", codeTooLong,
			"Invalid 'metadata': too large. Expected at most %d bytes of JSON, but got %d instead.", limit, len(compact))
	}
	return compact, nil
}

// checkPair refuses what OpenAI refuses, which bounds lengths only: notes and prompts in metadata have line breaks. In answers
// they are escaped, as all JSON is.
func checkPair(key string, v jsontext.Value) error {
	param := "metadata." + dialect.Clip(key, maxKeyChars)
	if n := utf8.RuneCountInString(key); n > maxKeyChars {
		return batch.Invalidf("metadata", codeTooLong,
			"Invalid property name in 'metadata': too long. Expected at most %d characters, but got %d instead.", maxKeyChars, n)
	}
	s, err := text(param, v)
	if err != nil {
		return err
	}
	if n := utf8.RuneCountInString(s); n > maxValueChars {
		return batch.Invalidf(param, codeTooLong,
			"Invalid '%s': string too long. Expected a string with maximum length %d, but got a string with length %d instead.", param, maxValueChars, n)
	}
	return nil
}
