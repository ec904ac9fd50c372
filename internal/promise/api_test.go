package promise

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"time"
)

// callWithin bounds one call of the API.
const callWithin = 60 * time.Second

// file and job are the objects of the API, as far as they are judged.
type file struct {
	ID       string `json:"id"`
	Bytes    int64  `json:"bytes"`
	Filename string `json:"filename"`
	Purpose  string `json:"purpose"`
}

type job struct {
	ID            string  `json:"id"`
	Status        string  `json:"status"`
	Endpoint      string  `json:"endpoint"`
	InputFileID   string  `json:"input_file_id"`
	OutputFileID  *string `json:"output_file_id"`
	ErrorFileID   *string `json:"error_file_id"`
	CreatedAt     int64   `json:"created_at"`
	InProgressAt  *int64  `json:"in_progress_at"`
	FinalizingAt  *int64  `json:"finalizing_at"`
	CompletedAt   *int64  `json:"completed_at"`
	FailedAt      *int64  `json:"failed_at"`
	ExpiredAt     *int64  `json:"expired_at"`
	CancellingAt  *int64  `json:"cancelling_at"`
	CancelledAt   *int64  `json:"cancelled_at"`
	RequestCounts counts  `json:"request_counts"`
	Usage         struct {
		TotalTokens int `json:"total_tokens"`
	} `json:"usage"`
	Errors *struct {
		Data []lineFault `json:"data"`
	} `json:"errors"`
}

type counts struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
}

type lineFault struct {
	Code    string  `json:"code"`
	Line    *int    `json:"line"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
}

// terminal reports whether the batch has ended.
func (j job) terminal() bool {
	switch j.Status {
	case "completed", "failed", "expired", "cancelled":
		return true
	default:
		return false
	}
}

// refusal is an answer with another status than 2xx.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.body) }

var errDown = errors.New("no process is running")

// do makes one call of the running process and returns the whole answer.
func (n *node) do(method, path, contentType string, body io.Reader) ([]byte, error) {
	answer, err := n.open(context.Background(), method, path, contentType, body)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

// open makes one call and leaves the answer's body to be read. Any status but 2xx is a *refusal.
func (n *node) open(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	p := n.running()
	if p == nil {
		return nil, errDown
	}
	p.mu.Lock()
	base := p.base
	p.mu.Unlock()
	if base == "" {
		return nil, errDown
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	request, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		cancel()
		return nil, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if n.key != "" {
		request.Header.Set("Authorization", "Bearer "+n.key)
	}
	answer, err := p.http.Do(request)
	if err != nil {
		cancel()
		return nil, err
	}
	answer.Body = cancelling{answer.Body, cancel}
	if answer.StatusCode/100 != 2 {
		defer answer.Body.Close()
		text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
		return nil, errors.Join(&refusal{answer.StatusCode, string(text)}, err)
	}
	return answer, nil
}

// cancelling releases the call's context with its body.
type cancelling struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c cancelling) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}

func decoded[T any](raw []byte, err error) (T, error) {
	var v T
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(raw, &v)
}

// upload sends an input file. The content is written by the given function, so that it need not fit into memory.
func (n *node) upload(name string, write func(io.Writer) error) (file, error) {
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	go func() { // joined by the reader's end: the call reads to the end or closes the pipe
		err := form.WriteField("purpose", "batch")
		if err == nil {
			var part io.Writer
			if part, err = form.CreateFormFile("file", name); err == nil {
				err = write(part)
			}
		}
		_ = writer.CloseWithError(errors.Join(err, form.Close())) // always nil
	}()
	defer func() { _ = reader.Close() }() // always nil
	return decoded[file](n.do(http.MethodPost, "/v1/files", form.FormDataContentType(), reader))
}

func (n *node) post(path string, body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return n.do(http.MethodPost, path, "application/json", bytes.NewReader(raw))
}

// create creates a batch of chat completions.
func (n *node) create(fileID, window string) (job, error) {
	return decoded[job](n.post("/v1/batches", map[string]any{
		"input_file_id": fileID, "endpoint": "/v1/chat/completions", "completion_window": window,
	}))
}

func (n *node) batch(id string) (job, error) {
	return decoded[job](n.do(http.MethodGet, "/v1/batches/"+id, "", nil))
}

func (n *node) file(id string) (file, error) {
	return decoded[file](n.do(http.MethodGet, "/v1/files/"+id, "", nil))
}

func (n *node) content(id string) ([]byte, error) {
	return n.do(http.MethodGet, "/v1/files/"+id+"/content", "", nil)
}

// batches lists all batches, newest first.
func (n *node) batches() ([]job, error) {
	type page struct {
		Data    []job  `json:"data"`
		HasMore bool   `json:"has_more"`
		LastID  string `json:"last_id"`
	}
	var all []job
	for after := ""; ; {
		p, err := decoded[page](n.do(http.MethodGet, "/v1/batches?limit=100"+after, "", nil))
		if err != nil {
			return nil, err
		}
		all = append(all, p.Data...)
		if !p.HasMore {
			return all, nil
		}
		after = "&after=" + p.LastID
	}
}
