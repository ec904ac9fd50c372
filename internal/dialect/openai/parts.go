package openai

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

const (
	// maxMIMEType is the longest media type, in characters. It is stored and shown, and means nothing to batchd.
	maxMIMEType = 255
	// md5Digits is the length of an MD5 digest in hexadecimal.
	md5Digits = 32
)

// uploadObject is an upload in any state; File is null until it is completed.
type uploadObject struct {
	ID        string             `json:"id"`
	Object    string             `json:"object"`
	Bytes     int64              `json:"bytes"`
	CreatedAt int64              `json:"created_at"`
	Filename  string             `json:"filename"`
	Purpose   batch.Purpose      `json:"purpose"`
	Status    batch.UploadStatus `json:"status"`
	ExpiresAt int64              `json:"expires_at"`
	File      *fileObject        `json:"file"`
}

type partObject struct {
	ID        string `json:"id"`
	Object    string `json:"object"`
	CreatedAt int64  `json:"created_at"`
	UploadID  string `json:"upload_id"`
}

// ParseCreateUpload reads the call that announces a file of at most limit bytes in parts.
func (d *Dialect) ParseCreateUpload(body []byte, limit int64) (dialect.CreateUpload, error) {
	var c dialect.CreateUpload
	m, err := parseObject(body)
	if err != nil {
		return c, err
	}
	name, err := m.text("", "filename")
	if err != nil {
		return c, err
	}
	if c.Filename = displayName(name); c.Filename == "" {
		return c, batch.Invalidf("filename", codeValue, "Invalid 'filename': the name is empty.")
	}
	purpose, err := m.text("", "purpose")
	if err != nil {
		return c, err
	}
	c.Purpose = batch.Purpose(purpose)
	digits, err := m.integer("", "bytes")
	if err != nil {
		return c, err
	}
	if c.Bytes, err = checkInteger("bytes", digits, 1, limit); err != nil {
		return c, err
	}
	if !m.has("mime_type") {
		return c, missing("mime_type")
	}
	// Clients send all sorts for JSON Lines, so that the media type is not judged.
	if c.MIMEType, err = ShortText("mime_type", m["mime_type"], maxMIMEType); err != nil {
		return c, err
	}
	if c.MIMEType == "" {
		return c, batch.Invalidf("mime_type", codeValue, "Invalid 'mime_type': the string is empty.")
	}
	asked, err := m.expiry("expires_after")
	if err != nil {
		return c, err
	}
	return c, d.checkPurpose(&c.Upload, asked, "filename")
}

// ParseCompleteUpload reads the call that makes a file of parts.
func (d *Dialect) ParseCompleteUpload(body []byte) (dialect.CompleteUpload, error) {
	var c dialect.CompleteUpload
	m, err := parseObject(body)
	if err != nil {
		return c, err
	}
	if c.PartIDs, err = m.partIDs(); err != nil {
		return c, err
	}
	if !m.has("md5") {
		return c, nil
	}
	digits, err := text("md5", m["md5"])
	if err != nil {
		return c, err
	}
	c.MD5 = strings.ToLower(digits)
	if len(c.MD5) != md5Digits || strings.Trim(c.MD5, "0123456789abcdef") != "" {
		return c, batch.Invalidf("md5", codeValue, "Invalid 'md5': expected %d hexadecimal digits.", md5Digits)
	}
	return c, nil
}

// partIDs reads the ids of the parts that make up a file. None may come twice: a part's bytes are in the file once.
func (m members) partIDs() ([]string, error) {
	const param = "part_ids"
	if !m.has(param) {
		return nil, missing(param)
	}
	if m[param].Kind() != jsontext.KindBeginArray {
		return nil, wrongType(param, codeType, "an array", m[param])
	}
	var values []jsontext.Value
	if err := json.Unmarshal(m[param], &values); err != nil {
		return nil, batch.Invalidf(param, codeType, "Invalid 'part_ids': the array is malformed.")
	}
	switch n := len(values); {
	case n == 0:
		return nil, batch.Invalidf(param, codeEmptyArray,
			"Invalid 'part_ids': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	case n > batch.MaxParts:
		return nil, batch.Invalidf(param, codeLongArray,
			"Invalid 'part_ids': array too long. Expected an array with maximum length %d, but got an array with length %d instead.", batch.MaxParts, n)
	}
	ids, seen := make([]string, len(values)), make(map[string]bool, len(values))
	for i, v := range values {
		id, err := text(fmt.Sprintf("%s[%d]", param, i), v)
		if err != nil {
			return nil, err
		}
		if seen[id] {
			return nil, batch.Invalidf(param, codeValue, "Invalid '%s': '%s' is named twice.", param, dialect.Clip(id, shownID))
		}
		ids[i], seen[id] = id, true
	}
	return ids, nil
}

// Upload renders an upload as it is at now.
func (d *Dialect) Upload(u batch.Upload, file *batch.File, now time.Time) []byte {
	o := uploadObject{
		ID: u.ID, Object: "upload", Bytes: u.Bytes, CreatedAt: u.CreatedAt.Unix(), Filename: u.Name, Purpose: u.Purpose,
		Status: u.StatusAt(now), ExpiresAt: u.ExpiresAt.Unix(),
	}
	if file != nil {
		f := newFileObject(*file)
		o.File = &f
	}
	return dialect.Encode(o)
}

// UploadPart renders a part.
func (d *Dialect) UploadPart(p batch.Part) []byte {
	return dialect.Encode(partObject{ID: p.ID, Object: "upload.part", CreatedAt: p.CreatedAt.Unix(), UploadID: p.Upload})
}
