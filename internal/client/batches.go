package client

import (
	"context"
	"net/http"
	"net/url"
)

// Batch is a batch object.
type Batch struct {
	// Raw is the object as the server sent it; nil for one of a list.
	Raw []byte `json:"-"`

	ID               string      `json:"id"`
	Endpoint         string      `json:"endpoint"`
	Model            string      `json:"model"`
	Status           string      `json:"status"`
	InputFileID      string      `json:"input_file_id"`
	OutputFileID     string      `json:"output_file_id"`
	ErrorFileID      string      `json:"error_file_id"`
	CompletionWindow string      `json:"completion_window"`
	ContinuedFrom    string      `json:"continued_from"`
	CreatedAt        int64       `json:"created_at"`
	ExpiresAt        int64       `json:"expires_at"`
	Counts           Counts      `json:"request_counts"`
	Usage            Usage       `json:"usage"`
	Errors           *LineErrors `json:"errors"`
	// WaitingFor is why lines of a running batch are not in flight; nil when nothing waits.
	WaitingFor []Waiting `json:"waiting_for"`
	// DamagedFiles are those that cannot be downloaded whole.
	DamagedFiles []DamagedFile `json:"damaged_files"`
	// Tenant is the name of its tenant, where batches of all tenants are listed.
	Tenant string `json:"tenant"`
}

// DamagedFile is a file of a batch that was found damaged.
type DamagedFile struct {
	FileID  string `json:"file_id"`
	Problem string `json:"problem"`
	Since   int64  `json:"since"`
}

// Waiting is one reason why lines wait. What the server leaves out or has null is zero.
type Waiting struct {
	Reason   string `json:"reason"`
	Detail   string `json:"detail"`
	Since    int64  `json:"since"`
	Status   int    `json:"status"`
	Code     string `json:"code"`
	NextTry  int64  `json:"next_try"`
	Lines    int64  `json:"lines"`
	Upstream string `json:"upstream"`
	Model    string `json:"model"`
	Message  string `json:"message"`
}

// Counts are the numbers of a batch's lines.
type Counts struct {
	Total     int64 `json:"total"`
	Completed int64 `json:"completed"`
	Failed    int64 `json:"failed"`
}

// Usage is the sum of a batch's tokens.
type Usage struct {
	InputTokens  int64 `json:"input_tokens"`
	OutputTokens int64 `json:"output_tokens"`
	TotalTokens  int64 `json:"total_tokens"`
}

// LineErrors lists the first errors that validation found.
type LineErrors struct {
	Data []LineError `json:"data"`
}

// LineError is one thing wrong with an input file.
type LineError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Param   string `json:"param"`
	// Line is 0 for the file as a whole.
	Line int64 `json:"line"`
}

// Ended reports whether the batch has reached a terminal state.
func (b Batch) Ended() bool {
	switch b.Status {
	case "completed", "failed", "expired", "cancelled":
		return true
	default:
		return false
	}
}

// Page is one page of a list.
type Page[T any] struct {
	// Raw is the list as the server sent it.
	Raw     []byte `json:"-"`
	Data    []T    `json:"data"`
	HasMore bool   `json:"has_more"`
	LastID  string `json:"last_id"`
}

// NewBatch is the body of a call that creates a batch.
type NewBatch struct {
	InputFileID      string            `json:"input_file_id"`
	Endpoint         string            `json:"endpoint"`
	CompletionWindow string            `json:"completion_window"`
	Metadata         map[string]string `json:"metadata,omitempty"`
	CallbackURL      string            `json:"callback_url,omitempty"`
}

// CreateBatch creates a batch.
func (c *Client) CreateBatch(ctx context.Context, n NewBatch) (Batch, error) {
	return c.batch(ctx, http.MethodPost, "/batches", n)
}

// Batch returns a batch.
func (c *Client) Batch(ctx context.Context, id string) (Batch, error) {
	return c.batch(ctx, http.MethodGet, "/batches/"+url.PathEscape(id), nil)
}

// CancelBatch asks for a batch to stop, and returns it as it then is.
func (c *Client) CancelBatch(ctx context.Context, id string) (Batch, error) {
	return c.batch(ctx, http.MethodPost, "/batches/"+url.PathEscape(id)+"/cancel", nil)
}

// RetryBatch makes a new batch of the lines of an ended one that failed, expired or were cancelled. window is the new
// batch's, "" for that of the old one.
func (c *Client) RetryBatch(ctx context.Context, id, window string) (Batch, error) {
	body := struct {
		CompletionWindow string `json:"completion_window,omitempty"`
	}{window}
	return c.batch(ctx, http.MethodPost, "/batches/"+url.PathEscape(id)+"/retry", body)
}

func (c *Client) batch(ctx context.Context, method, path string, in any) (Batch, error) {
	var b Batch
	raw, err := c.call(ctx, method, path, in, &b)
	b.Raw = raw
	return b, err
}

// BatchQuery selects a page of batches. A zero leaves the server's default.
type BatchQuery struct {
	Limit int
	// After is the id that the page before ended with.
	After string
	// Status keeps batches in one state; CreatedAfter and CreatedBefore are unix seconds or RFC 3339.
	Status, CreatedAfter, CreatedBefore string
}

// Batches returns a page of batches, newest first.
func (c *Client) Batches(ctx context.Context, q BatchQuery) (Page[Batch], error) {
	filters := url.Values{}
	for name, value := range map[string]string{
		"status": q.Status, "created_after": q.CreatedAfter, "created_before": q.CreatedBefore,
	} {
		if value != "" {
			filters.Set(name, value)
		}
	}
	var p Page[Batch]
	raw, err := c.call(ctx, http.MethodGet, "/batches"+page(q.Limit, q.After, filters), nil, &p)
	p.Raw = raw
	return p, err
}

// AllBatches returns a page of the batches of all tenants, newest first, which takes an admin key.
func (c *Client) AllBatches(ctx context.Context, limit int, after string) (Page[Batch], error) {
	var p Page[Batch]
	raw, err := c.call(ctx, http.MethodGet, "/admin/batches"+page(limit, after, nil), nil, &p)
	p.Raw = raw
	return p, err
}
