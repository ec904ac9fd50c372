package openai

import (
	"path"
	"slices"
	"strings"
	"unicode"

	"batchd/internal/badline"
	"batchd/internal/batch"
	"batchd/internal/dialect"
)

const (
	// maxNameBytes is how much of a file's name is kept, in bytes: what most file systems take, since
	// clients save files under it.
	maxNameBytes = 255
	// bytesName is what OpenAI's SDK for Python calls bytes that have no name of their own.
	bytesName = "upload"
)

// CheckUpload checks an upload once all its fields are known. A form without a file comes with an empty filename.
func (d *Dialect) CheckUpload(fields map[string]string, filename string) (dialect.Upload, error) {
	u := dialect.Upload{Purpose: batch.Purpose(fields["purpose"]), Filename: displayName(filename)}
	if filename == "" {
		return u, missing("file")
	}
	if u.Purpose == "" {
		return u, missing("purpose")
	}
	asked, err := uploadTTL(fields)
	if err != nil {
		return u, err
	}
	return u, d.checkPurpose(&u, asked, "file")
}

// checkPurpose checks an upload's purpose, and its name against that, and sets the TTL of its file, for which the client asked
// for so many seconds, 0 for nothing. param is where the name was given.
func (d *Dialect) checkPurpose(u *dialect.Upload, asked int64, param string) error {
	purposes := d.variant.Purposes
	if purposes == nil {
		purposes = []string{"assistants", "batch", "fine-tune", "vision", "user_data", "evals"}
	}
	if !slices.Contains(purposes, string(u.Purpose)) {
		return unsupported("purpose", string(u.Purpose), purposes)
	}
	u.TTLSeconds = asked
	if u.Purpose != batch.PurposeBatch {
		return nil
	}
	// It is what is inside that counts: OpenAI too takes what its SDK for Python calls bytes without a name. Only a strict
	// dialect judges other names.
	strict := d.strict || d.variant.StrictNames
	name := u.Filename
	if !strings.EqualFold(path.Ext(name), ".jsonl") && name != bytesName && (strict || name == "") {
		return batch.Invalidf(param, "", "Invalid file format for Batch API. Must be .jsonl, but the name is '%s'.",
			dialect.Clip(name, shownValue))
	}
	u.TTLSeconds = d.ttl(asked)
	return nil
}

// uploadTTL reads expires_after, whose members arrive as form fields named in brackets.
func uploadTTL(fields map[string]string) (int64, error) {
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
	return checkTTL("expires_after.seconds", seconds)
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
func (d *Dialect) BadFirstLine(filename string, fault badline.Fault) error {
	name := dialect.Clip(displayName(filename), shownValue)
	switch fault.Reason {
	case badline.Empty:
		return badFile("'%s' is empty; a batch file has one JSON object on each line.", name)
	case badline.Blank:
		return badFile("The first line of '%s' is blank; a batch file has one JSON object on each line.", name)
	case badline.NotObject:
		return badFile("The first line of '%s' is not a JSON object; a batch file has one JSON object on each line.", name)
	default:
		return badFile("The first line of '%s' is not parseable as valid JSON. %s", name, fault.Sentence())
	}
}

// badFile returns the error for a batch file that holds no requests.
func badFile(format string, args ...any) error {
	return batch.Invalidf("file", "", "Invalid file format. "+format, args...)
}
