package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"batchd/internal/store"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	// callTimeout is how long one attempt may take where nothing else is said, longestPause how long a receiver may ask to be
	// left alone.
	callTimeout  = 15 * time.Second
	longestPause = 6 * time.Hour
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
	// The address is judged at the last moment before a connection to it is made. Names were looked up by then and all
	// spellings of an address are one, so nothing that happens earlier can lead round it.
	control := func(_ context.Context, network, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil || network != "tcp4" && network != "tcp6" {
			return fmt.Errorf("%s %s is %w", network, address, ErrRefused)
		}
		return o.Guard.Check(a.Addr())
	}
	dialer := &net.Dialer{Resolver: o.Resolver, ControlContext: control}
	return &Caller{o: o, transport: &http.Transport{
		Proxy: nil, DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}}
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

// call renders and signs the event, sends it and reads the answer.
func (c *Caller) call(ctx context.Context, d store.Delivery) Answer {
	now := c.o.Now() // the time of this attempt, which is signed
	event, err := body(d)
	if err != nil {
		return Answer{Err: fmt.Errorf("render event: %w", err)}
	}
	signed, err := signature(d, event, now)
	if err != nil {
		return Answer{Err: err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(event))
	if err != nil {
		return Answer{Err: errors.New("the webhook's URL cannot be read")} // the error would repeat it
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", c.o.UserAgent)
	r.Header.Set(standardwebhooks.HeaderWebhookID, d.ID)
	r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	r.Header.Set(standardwebhooks.HeaderWebhookSignature, signed)
	// RoundTrip and not Client.Do, whose errors repeat the URL with whatever secret is in its query.
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		return Answer{Err: fmt.Errorf("call receiver: %w", err)}
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer) // the status has said it all
	return Answer{Status: response.StatusCode, RetryAfter: retryAfter(response.Header.Get("Retry-After"), c.o.Now())}
}

// retryAfter reads how long a receiver asks to be left alone, as seconds or as a date. What is past or cannot be read
// counts as not said.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(longestPause/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), longestPause)
	}
	return 0
}

// event is what a receiver is sent. It names a batch and says nothing about it: the receiver asks the API, with a key
// of its own, so an event in wrong hands is worth nothing.
type event struct {
	ID        string  `json:"id"`
	Object    string  `json:"object"`
	Type      string  `json:"type"`
	CreatedAt int64   `json:"created_at"`
	Data      subject `json:"data"`
}

type subject struct {
	ID string `json:"id"`
}

// body renders the event of a delivery; every attempt sends the same bytes.
func body(d store.Delivery) ([]byte, error) {
	return json.Marshal(event{
		ID: d.EventID, Object: "event", Type: string(d.Event), CreatedAt: d.CreatedAt.Unix(), Data: subject{ID: d.Batch},
	})
}

// signature returns the value of the signature header: one signature for each secret, so that a receiver which has
// either the old or the new one finds one that fits.
func signature(d store.Delivery, body []byte, at time.Time) (string, error) {
	signatures := make([]string, 0, len(d.Secrets))
	for _, secret := range d.Secrets {
		signer, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return "", fmt.Errorf("read signing secret: %w", err)
		}
		s, err := signer.Sign(d.ID, at, body)
		if err != nil {
			return "", fmt.Errorf("sign event: %w", err)
		}
		signatures = append(signatures, s)
	}
	if len(signatures) == 0 {
		return "", errNoSecret
	}
	return strings.Join(signatures, " "), nil
}
