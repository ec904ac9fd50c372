package openai

import (
	"path"
	"slices"
	"strings"
	"unicode"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// maxNameBytes is how much of a file's name is kept.
const maxNameBytes = 255

// purposes returns what a file may be uploaded for.
func purposes() []string {
	return []string{"assistants", "batch", "fine-tune", "vision", "user_data", "evals"}
}

// CheckUpload checks an upload once all its fields are known. A form without a file comes with an empty filename.
func (d *Dialect) CheckUpload(fields map[string]string, filename string) (dialect.Upload, error) {
	u := dialect.Upload{Purpose: batch.Purpose(fields["purpose"]), Filename: displayName(filename)}
	if filename == "" {
		return u, missing("file")
	}
	if u.Purpose == "" {
		return u, missing("purpose")
	}
	if !slices.Contains(purposes(), string(u.Purpose)) {
		return u, unsupported("purpose", fields["purpose"], purposes())
	}
	if u.Purpose == batch.PurposeBatch && path.Ext(u.Filename) != ".jsonl" {
		return u, batch.Invalidf("file", "", "Invalid file format for Batch API. Must be .jsonl")
	}
	var err error
	u.TTLSeconds, err = uploadLife(fields)
	if err == nil && u.TTLSeconds == 0 && d.strict && u.Purpose == batch.PurposeBatch {
		u.TTLSeconds = thirtyDays
	}
	return u, err
}

// uploadLife reads expires_after, whose members arrive as form fields named in brackets.
func uploadLife(fields map[string]string) (int64, error) {
	anchor, hasAnchor := fields["expires_after[anchor]"]
	seconds, hasSeconds := fields["expires_after[seconds]"]
	switch {
	case !hasAnchor && !hasSeconds:
		return 0, nil
	case !hasAnchor:
		return 0, missing("expires_after.anchor")
	case anchor != "created_at":
		return 0, unsupported("expires_after.anchor", anchor, []string{"created_at"})
	case !hasSeconds:
		return 0, missing("expires_after.seconds")
	}
	return checkLife("expires_after.seconds", seconds)
}

// displayName makes a name safe to show: the last element of a path of either kind, without control characters,
// valid UTF-8, and short, with its extension kept.
func displayName(name string) string {
	name = strings.ToValidUTF8(name, "\uFFFD")
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, name)
	if len(name) <= maxNameBytes {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > maxNameBytes/2 {
		ext = ""
	}
	// Cutting inside a character leaves bytes that are not valid; they are dropped.
	return strings.ToValidUTF8(name[:maxNameBytes-len(ext)], "") + ext
}

// UploadTooLarge returns the error for a file of more than limit bytes.
func (d *Dialect) UploadTooLarge(limit int64) error {
	e := batch.Invalidf("file", "", "File is too large. The largest file that is accepted has %d bytes.", limit)
	e.Class = batch.TooLarge
	return e
}

// BadFirstLine returns the error for a batch file that is empty or whose first line is not a JSON object.
func (d *Dialect) BadFirstLine(filename string) error {
	return batch.Invalidf("file", "",
		"Invalid file format. The first line of '%s' is not a JSON object; a batch file has one JSON object on each line.",
		clip(displayName(filename), shownValue))
}
