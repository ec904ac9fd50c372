package openai

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// expiry reads the TTL of a file, an object named param, and returns it in seconds, 0 for none given.
func (m members) expiry(param string) (int64, error) {
	if !m.has(param) {
		return 0, nil
	}
	v := m[param]
	if v.Kind() != jsontext.KindBeginObject {
		return 0, wrongType(param, codeType, "an object", v)
	}
	after, err := parseObject(v)
	if err != nil {
		return 0, err
	}
	anchor, err := after.text(param+".", "anchor")
	if err != nil {
		return 0, err
	}
	if anchor != "created_at" {
		return 0, unsupported(param+".anchor", anchor, []string{"created_at"})
	}
	seconds, err := after.integer(param+".", "seconds")
	if err != nil {
		return 0, err
	}
	return checkTTL(param+".seconds", seconds)
}

// checkTTL reads the TTL of a file, written in decimal digits.
func checkTTL(param, digits string) (int64, error) {
	return checkInteger(param, digits, oneHour, thirtyDays)
}

// integer returns the digits of a required integer. prefix is the path of the object that m is, "" or ending in a dot.
func (m members) integer(prefix, name string) (string, error) {
	if !m.has(name) {
		return "", missing(prefix + name)
	}
	v := m[name]
	if v.Kind() != jsontext.KindNumber || bytes.ContainsAny(v, ".eE") {
		return "", wrongType(prefix+name, codeType, "an integer", v)
	}
	return string(v), nil
}

// checkInteger reads an integer, written in decimal digits, that must be at least low and at most high.
func checkInteger(param, digits string, low, high int64) (int64, error) {
	// An integer too large for int64 saturates, with an error that the range check below words better.
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, batch.Invalidf(param, codeType, "Invalid type for '%s': expected an integer, but got a string instead.", param)
	case n > high:
		return 0, batch.Invalidf(param, codeAbove, "Invalid '%s': integer above maximum value. Expected a value <= %d, but got %s instead.", param, high, dialect.Clip(digits, shownValue))
	case n < low:
		return 0, batch.Invalidf(param, codeBelow, "Invalid '%s': integer below minimum value. Expected a value >= %d, but got %s instead.", param, low, dialect.Clip(digits, shownValue))
	}
	return n, nil
}
