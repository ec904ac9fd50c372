package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"batchd/internal/batch"
)

// value is what a source sets a key to. A file gives any of the forms; the environment and flags give texts, or lists.
type value struct {
	// text is the scalar as it was written; of a list from the environment, its elements joined by commas.
	text string
	// list is set for a sequence, pairs for a mapping of scalars.
	list  []string
	pairs map[string]string
	// upstreams is set for a sequence of mappings.
	upstreams []Upstream
	form      form
}

// form says which field of a value is set.
type form int

const (
	formText form = iota
	formList
	formPairs
	formUpstreams
)

var (
	errWantText = errors.New("want a single value, not a list or a mapping")
	errWantList = errors.New("want a list")
)

// scalar returns the text of a single value.
func (v value) scalar() (string, error) {
	if v.form != formText {
		return "", errWantText
	}
	return v.text, nil
}

// elements returns a list, which a text gives separated by commas.
func (v value) elements() ([]string, error) {
	switch v.form {
	case formList:
		return v.list, nil
	case formText:
		var elements []string
		for e := range strings.SplitSeq(v.text, ",") {
			if e = strings.TrimSpace(e); e != "" {
				elements = append(elements, e)
			}
		}
		return elements, nil
	default:
		return nil, errWantList
	}
}

// mapping returns name and value pairs, which a text gives as a=b,c=d.
func (v value) mapping() (map[string]string, error) {
	if v.form == formPairs {
		return v.pairs, nil
	}
	elements, err := v.elements()
	if err != nil || v.form == formList {
		return nil, errors.New("want a mapping of names to values")
	}
	pairs := make(map[string]string, len(elements))
	for _, e := range elements {
		name, val, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return nil, errors.New("want NAME=VALUE pairs separated by commas")
		}
		pairs[name] = val
	}
	return pairs, nil
}

// parseBool takes the two words that YAML and everybody agree on.
func parseBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, fmt.Errorf("want true or false, got %q", s)
	}
}

// parseNumber reads a whole number, in decimal digits.
func parseNumber(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("want a whole number, got %q", s)
	}
	return n, nil
}

// ParseSize reads a number of bytes: "1048576", "200MB", "16GiB". KB, MB, GB and TB are powers of 1000, KiB, MiB, GiB
// and TiB of 1024.
func ParseSize(s string) (int64, error) {
	bad := fmt.Errorf("want a size like 200MB, 16GiB or a number of bytes, got %q", s)
	digits := strings.TrimRight(s, "BKMGTi ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || strings.HasPrefix(digits, "+") {
		return 0, bad
	}
	unit, ok := map[string]int64{
		"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": batch.KiB, "MiB": batch.MiB, "GiB": batch.GiB, "TiB": batch.KiB * batch.GiB,
	}[strings.TrimPrefix(s[len(digits):], " ")]
	if !ok || n > math.MaxInt64/unit {
		return 0, bad
	}
	return n * unit, nil
}

// ParseDuration reads a length of time: "60s", "24h", "1h30m", or whole days, "7d". A bare 0 is zero.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("want a length of time like 60s, 24h or 7d, got %q", s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/int64(24*time.Hour) {
			return 0, bad
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, bad
	}
	return d, nil
}

// parseConnections reads a number of connections, of which 0 is any number.
func parseConnections(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("want a whole number, or 0 for any number, got %q", s)
	}
	return n, nil
}

// AutoConcurrency is the word for a concurrency, or a number of connections, that is found.
const AutoConcurrency = "auto"

// parseConcurrency reads how many calls may be in flight, or connections open: a number, or 0 for AutoConcurrency.
func parseConcurrency(s string) (int, error) {
	if s == AutoConcurrency {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("want auto or a whole number, got %q", s)
	}
	if n < 1 || n > maxConcurrency {
		return 0, fmt.Errorf("want a number from 1 to %d, got %d", maxConcurrency, n)
	}
	return n, nil
}

// maxConcurrency is more calls than one process can usefully have in flight to one server, or connections that it can serve.
const maxConcurrency = 100_000
