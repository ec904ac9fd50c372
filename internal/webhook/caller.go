package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"batchd/internal/store"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	// callTimeout is how long one attempt may take, from the lookup of the name to the end of the answer.
	callTimeout = 15 * time.Second
	// maxAnswer is how much of an answer's body is read, only so that the receiver is not cut off while it writes.
	maxAnswer = 64 << 10
	// maxAnswerHeader is the longest header of an answer.
	maxAnswerHeader = 64 << 10
)

var errNoSecret = errors.New("sign event: the delivery has no secret")

// CallerOptions configures a Caller. Only Guard has to be thought about: its zero value lets public
// addresses through and nothing else.
type CallerOptions struct {
	Guard Guard
	// UserAgent is what batchd calls itself; "" stands for "batchd".
	UserAgent string
	// Timeout is how long one attempt may take in all; 0 stands for 15 s.
	Timeout time.Duration
	// Resolver looks names up; nil stands for the system's.
	Resolver *net.Resolver
	// Now is the wall clock; nil stands for time.Now.
	Now func() time.Time
}

// Caller makes single attempts. It may be used concurrently. It keeps no connection: each attempt makes its own,
// whose address is checked.
type Caller struct {
	o         CallerOptions
	transport http.RoundTripper
}

// NewCaller returns a caller that speaks HTTP/1.1, follows no redirects and uses no proxy. A proxy would be the one
// whose address is checked, and would call any other on our behalf.
func NewCaller(o CallerOptions) *Caller {
	if o.UserAgent == "" {
		o.UserAgent = "batchd"
	}
	if o.Timeout == 0 {
		o.Timeout = callTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	dialer := &net.Dialer{Resolver: o.Resolver, ControlContext: o.Guard.control}
	return &Caller{o: o, transport: &http.Transport{
		Proxy: nil, DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}}
}

// control is asked about each address at the last moment before a connection to it is made. Names were looked up by
// then and all spellings of an address are one, so nothing that happens earlier can lead round it.
func (g Guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%s %s is %w", network, address, ErrRefused)
	}
	return g.Check(a.Addr())
}

// Answer is what an attempt came to.
type Answer struct {
	// Status is the HTTP status, 0 if there was no answer; then Err says why.
	Status int
	Err    error
	// RetryAfter is how long the receiver asked to be left alone, 0 if it did not.
	RetryAfter time.Duration
	// Took is how long the attempt lasted.
	Took time.Duration
}

// OK reports whether the receiver took the event.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status <= 299 }

// Call makes one attempt at a delivery. It returns within its timeout, or when ctx ends. Every status is an answer, a
// redirect too.
func (c *Caller) Call(ctx context.Context, d store.Delivery) Answer {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, fmt.Errorf("no answer within %s", c.o.Timeout))
	defer cancel()
	a := c.call(ctx, d)
	if a.Err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		a.Err = context.Cause(ctx)
	}
	a.Took = time.Since(began)
	return a
}

func (c *Caller) call(ctx context.Context, d store.Delivery) Answer {
	r, err := c.request(ctx, d)
	if err != nil {
		return Answer{Err: err}
	}
	// RoundTrip and not Client.Do, whose errors repeat the URL with whatever secret is in its query.
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		return Answer{Err: fmt.Errorf("call receiver: %w", err)}
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer) // the status has said it all
	return Answer{Status: response.StatusCode, RetryAfter: retryAfter(response.Header.Get("Retry-After"), c.o.Now())}
}

// request renders and signs the call, with the time of this attempt.
func (c *Caller) request(ctx context.Context, d store.Delivery) (*http.Request, error) {
	now := c.o.Now()
	event, err := body(d)
	if err != nil {
		return nil, fmt.Errorf("render event: %w", err)
	}
	signed, err := signature(d, event, now)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(event))
	if err != nil {
		return nil, errors.New("the webhook's URL cannot be read") // the error would repeat it
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", c.o.UserAgent)
	r.Header.Set(standardwebhooks.HeaderWebhookID, d.ID)
	r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	r.Header.Set(standardwebhooks.HeaderWebhookSignature, signed)
	return r, nil
}
