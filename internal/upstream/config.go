package upstream

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"batchd/internal/batch"
	"batchd/internal/descriptors"
)

// Config says where an upstream is and what it expects of a request.
type Config struct {
	// URL is the base an OpenAI SDK takes, like "http://host:8000/v1". A user and password in it are sent as basic
	// authentication unless there is an APIKey.
	URL string
	// Models are the models this upstream serves; empty means: ask its /models.
	Models []string
	// APIKey, if set, returns the key to send as a bearer token. It is called again every few seconds and after
	// an upstream refused it, so that a rotated key is taken up; it must be safe for concurrent use.
	APIKey func() (string, error)
	// Headers are sent with every call. They replace headers of the same name that batchd would send.
	Headers map[string]string
	// RequestIDHeader is the header that carries a UUID for each line, "" for X-Request-Id; IdempotencyKeyHeader the one that
	// carries the line's key, "" for Idempotency-Key. NoHeader leaves one out.
	RequestIDHeader      string
	IdempotencyKeyHeader string
	// Concurrency is how many calls are expected at once: so many idle connections are kept. 0 stands for 4,096.
	Concurrency int
}

// Options configures all upstreams of a node alike. The zero value works.
type Options struct {
	// Timeouts bound each phase of a call.
	Timeouts Timeouts
	// MaxResponseBytes is the longest answer, after decompression; 0 stands for the default of batch.Limits.
	MaxResponseBytes int64
	// SpoolDir is where long answers wait; "" is the system's directory for temporary files. Nothing in it survives
	// its process.
	SpoolDir string
	// LargeBodies is the node's memory for answers over 64 KiB, shared by its upstreams. Nil means one permit for this upstream
	// alone.
	LargeBodies *LargeBodyBudget
	// DialContext makes connections, in place of net.Dialer; the timeouts hold for it too.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Connections bounds the connections that are open, those of all upstreams with the same together; a call for which there
	// is none has not reached its upstream. Nil does not bound them.
	Connections *descriptors.Pool
	// UserAgent is what batchd calls itself; "" stands for "batchd".
	UserAgent string
	// Now is the clock that a key's age and dates in Retry-After are measured by; nil is time.Now. Steady is the one for the
	// deadlines of calls, which are ends of windows; nil is Now.
	Now    func() time.Time
	Steady func() time.Time
	// Logger gets keys that cannot be read at error level and single faults at debug level; nil discards them.
	Logger *slog.Logger
	// Registerer gets the metrics; nil means that nobody sees them.
	Registerer prometheus.Registerer
}

// Timeouts bound the phases of a call. A zero field stands for its default.
type Timeouts struct {
	// Dial is for the TCP connection (10 s), TLS for the handshake (10 s).
	Dial time.Duration
	TLS  time.Duration
	// FirstByte lasts from the start of the call to the end of the answer's header (10 min).
	FirstByte time.Duration
	// Idle is the longest pause between two pieces of the answer, and between two pieces of the request that the
	// upstream takes (120 s).
	Idle time.Duration
	// Total is for the whole call (1 h); the batch's deadline may end it earlier.
	Total time.Duration
}

// Defaults of what the configuration leaves open.
const (
	defaultConcurrency = 4096
	defaultUserAgent   = "batchd"
)

func (t Timeouts) withDefaults() Timeouts {
	fill := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	fill(&t.Dial, 10*time.Second)
	fill(&t.TLS, 10*time.Second)
	fill(&t.FirstByte, 10*time.Minute)
	fill(&t.Idle, 2*time.Minute)
	fill(&t.Total, time.Hour)
	return t
}

func (o Options) withDefaults() Options {
	o.Timeouts = o.Timeouts.withDefaults()
	if o.MaxResponseBytes == 0 {
		o.MaxResponseBytes = batch.DefaultLimits().MaxResponseBytes
	}
	if o.LargeBodies == nil {
		o.LargeBodies = NewLargeBodyBudget(1)
	}
	if o.UserAgent == "" {
		o.UserAgent = defaultUserAgent
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Steady == nil {
		o.Steady = o.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return o
}

// framingHeaders frame the message or belong to one hop. Setting them would break calls in ways that are hard to see.
var framingHeaders = []string{
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding",
	"Upgrade",
}

// lineHeaders differ with each line, and have settings of their own.
var lineHeaders = []string{"Idempotency-Key", "X-Idempotency-Key", "X-Request-Id"}

const maxHeaderBytes = 8 << 10

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// isHeaderValue refuses what could end the header early (CR, LF, NUL) and other control characters but the tab.
func isHeaderValue(s string) bool {
	if len(s) > maxHeaderBytes {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
