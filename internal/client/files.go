package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
)

// File is a file object.
type File struct {
	// Raw is the object as the server sent it; nil for one of a list.
	Raw []byte `json:"-"`

	ID        string `json:"id"`
	Bytes     int64  `json:"bytes"`
	CreatedAt int64  `json:"created_at"`
	// ExpiresAt is 0 for a file that is kept until it is deleted.
	ExpiresAt int64  `json:"expires_at"`
	Filename  string `json:"filename"`
	Purpose   string `json:"purpose"`
}

// Upload is a file to upload.
type Upload struct {
	Filename string
	Purpose  string
	Content  io.Reader
	// Size is the content's length in bytes. It is declared to the server, which can so refuse at once.
	Size int64
}

// UploadFile stores a file. The content is streamed, not held in memory.
func (c *Client) UploadFile(ctx context.Context, u Upload) (File, error) {
	body, length, contentType, err := u.form()
	if err != nil {
		return File{}, fmt.Errorf("make form: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+prefix+"/files", body)
	if err != nil {
		return File{}, fmt.Errorf("make request: %w", err)
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", contentType)
	// A server that is going to refuse says so before the bytes are sent.
	req.Header.Set("Expect", "100-continue")
	response, err := c.do(req)
	if err != nil {
		return File{}, err
	}
	defer response.Body.Close()
	var f File
	f.Raw, err = decode(response, &f)
	return f, err
}

// form returns the upload's form as a stream, and its length: only what stands around the content is in memory.
func (u Upload) form() (body io.Reader, length int64, contentType string, err error) {
	var around bytes.Buffer
	w := multipart.NewWriter(&around)
	if err := w.WriteField("purpose", u.Purpose); err != nil {
		return nil, 0, "", err
	}
	if _, err := w.CreateFormFile("file", u.Filename); err != nil {
		return nil, 0, "", err
	}
	split := around.Len()
	if err := w.Close(); err != nil {
		return nil, 0, "", err
	}
	before, after := around.Bytes()[:split], around.Bytes()[split:]
	body = io.MultiReader(bytes.NewReader(before), io.LimitReader(u.Content, u.Size), bytes.NewReader(after))
	return body, int64(around.Len()) + u.Size, w.FormDataContentType(), nil
}

// File returns a file's description.
func (c *Client) File(ctx context.Context, id string) (File, error) {
	var f File
	raw, err := c.call(ctx, http.MethodGet, "/files/"+url.PathEscape(id), nil, &f)
	f.Raw = raw
	return f, err
}

// Files returns a page of files, newest first. purpose keeps only files of one purpose, "" all; after and limit are as
// in Batches.
func (c *Client) Files(ctx context.Context, purpose string, limit int, after string) (Page[File], error) {
	more := url.Values{}
	if purpose != "" {
		more.Set("purpose", purpose)
	}
	var p Page[File]
	raw, err := c.call(ctx, http.MethodGet, "/files"+page(limit, after, more), nil, &p)
	p.Raw = raw
	return p, err
}

// Deleted is the answer to a deletion.
type Deleted struct {
	// Raw is the object as the server sent it.
	Raw     []byte `json:"-"`
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
}

// DeleteFile deletes a file.
func (c *Client) DeleteFile(ctx context.Context, id string) (Deleted, error) {
	var d Deleted
	raw, err := c.call(ctx, http.MethodDelete, "/files/"+url.PathEscape(id), nil, &d)
	d.Raw = raw
	return d, err
}

// OpenFile opens a file's content for reading. Content that ends early is io.ErrUnexpectedEOF. The caller closes it.
func (c *Client) OpenFile(ctx context.Context, id string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+prefix+"/files/"+url.PathEscape(id)+"/content", nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	// A proxy must not change what is served; the length then shows whether all of it came.
	req.Header.Set("Accept-Encoding", "identity")
	response, err := c.do(req)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}
