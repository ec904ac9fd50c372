// Package client calls batchd's own HTTP API, as any user's program would: files and batches under /batchd/v1, which
// speaks the same whatever vendor's dialect the server or the key is set to. Uploads and
// downloads are streamed; an answer that is not a success becomes an *Error with what the server said. It keeps every
// object's bytes as they came beside the fields it reads, and knows nothing of the server but the wire.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"batchd/internal/dialect/vendors"
)

// DefaultServer is where a server listens that was told nothing.
const DefaultServer = "http://127.0.0.1:8080"

// prefix is where the server's API is that no setting changes.
const prefix = "/batchd/v1"

// maxObject bounds, in bytes, an answer that is not a file's content. The longest is a full page of files, 10,000 of them.
const maxObject = 64 << 20

// Options configures a Client: which server to call, and as whom.
type Options struct {
	// Server is the server's address, with or without the prefix of any of its APIs, like /v1; "" stands for DefaultServer.
	Server string
	// APIKey is sent as a bearer token; "" sends none.
	APIKey string
	// Tenant is the name or id of the tenant that calls are for; "" for the key's own.
	Tenant string
	// UserAgent is what the server's log shows.
	UserAgent string
	// HTTP makes the calls; nil stands for a client without a limit on time, since contexts bound calls.
	HTTP *http.Client
}

// Client calls one server. It may be used concurrently.
type Client struct {
	base      string
	key       string
	tenant    string
	userAgent string
	http      *http.Client
}

// New returns a client. It makes no connection yet; an address that cannot be one is an error.
func New(o Options) (*Client, error) {
	if o.Server == "" {
		o.Server = DefaultServer
	}
	u, err := url.Parse(o.Server)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("server address: want http://HOST:PORT or https://HOST")
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{}
	}
	base := strings.TrimRight(o.Server, "/")
	// The shortest comes last: the others end in it.
	for _, api := range append(vendors.Prefixes(), prefix, "/v1") {
		base = strings.TrimSuffix(base, api)
	}
	return &Client{base: base, key: o.APIKey, tenant: o.Tenant, userAgent: o.UserAgent, http: o.HTTP}, nil
}

// Error is an answer that is not a success.
type Error struct {
	Status  int
	Message string
	// Param and Code are "" where the server named none.
	Param     string
	Code      string
	RequestID string
}

// Error returns what the server said, with the parameter at fault and the request's id.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Message == "" {
		fmt.Fprintf(&b, "the server answered with status %d", e.Status)
	}
	var details []string
	if e.Param != "" {
		details = append(details, "parameter "+e.Param)
	}
	if e.RequestID != "" {
		details = append(details, "request "+e.RequestID)
	}
	if len(details) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(details, ", "))
	}
	return b.String()
}

// UnreachableError means that no connection could be made.
type UnreachableError struct {
	Server string
	Err    error
}

// Error names the server and what is likely.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("cannot reach %s: is `batchd serve` running? (%v)", e.Server, e.Err)
}

// Unwrap returns the network's error.
func (e *UnreachableError) Unwrap() error { return e.Err }

// do sends a request and returns its response if that is a success. Any other answer is an *Error, and a call that got none
// fails with the cause of its context's end or an *UnreachableError. The caller closes the body.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if c.tenant != "" {
		req.Header.Set("X-Batchd-Tenant", c.tenant)
	}
	if c.userAgent != "" {
		req.Header.Set("User-Agent", c.userAgent)
	}
	response, err := c.http.Do(req)
	if err != nil {
		if req.Context().Err() != nil {
			return nil, context.Cause(req.Context())
		}
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the method and URL, which the caller knows
		}
		server := "the server"
		if u, parseErr := url.Parse(c.base); parseErr == nil {
			server = u.Redacted() // an address may hold a password
		}
		return nil, &UnreachableError{Server: server, Err: err}
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		return nil, readError(response)
	}
	return response, nil
}

// readError returns the *Error of a response that is no success, whatever its body is.
func readError(response *http.Response) error {
	e := &Error{Status: response.StatusCode, RequestID: response.Header.Get("X-Request-Id")}
	raw, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	var body struct {
		Error struct {
			Message string  `json:"message"`
			Param   *string `json:"param"`
			Code    *string `json:"code"`
		} `json:"error"`
	}
	if err != nil || json.Unmarshal(raw, &body) != nil {
		return e // a proxy's page: the status says all there is
	}
	e.Message = body.Error.Message
	if body.Error.Param != nil {
		e.Param = *body.Error.Param
	}
	if body.Error.Code != nil {
		e.Code = *body.Error.Code
	}
	return e
}

// call sends a request without a body, or with one that is marshalled from in, and decodes the answer into out. It
// returns the answer's bytes.
func (c *Client) call(ctx context.Context, method, path string, in, out any) ([]byte, error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = strings.NewReader(string(raw))
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+prefix+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	response, err := c.do(req)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return decode(response, out)
}

// decode reads a JSON answer into out and returns its bytes, which commands print as they came.
func decode(response *http.Response, out any) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxObject))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return nil, fmt.Errorf("read answer: not what batchd answers: %w", err)
	}
	return raw, nil
}

// page returns the query of a list, with its question mark; "" for none.
func page(limit int, after string, more url.Values) string {
	q := url.Values{}
	for name, values := range more {
		q[name] = values
	}
	if limit > 0 {
		q.Set("limit", fmt.Sprint(limit))
	}
	if after != "" {
		q.Set("after", after)
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}
