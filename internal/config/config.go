// Package config is batchd's settings: one struct, filled from defaults, a file, the environment and flags, in this
// order, and checked as a whole, so that every fault is reported at once. It promises that nothing it prints shows
// a secret. It knows nothing of what the settings do.
package config

import (
	"cmp"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/vendors"
)

// Simulator is the word that stands for the built-in simulator in place of an upstream's URL.
const Simulator = "sim"

// Config holds all settings of a server or of a one-shot run.
type Config struct {
	// Listen is the address of the API.
	Listen string
	// AllowedHosts are further names that clients call the server by, which matters while it asks for no keys: host names
	// without a port, of which *.example.com stands for every name below example.com.
	AllowedHosts []string
	// DataDir is the directory that holds the database, the blobs and the journals.
	DataDir string
	// Store and Blobs name other stores for metadata and objects; "" is the data directory, the only one that there is yet.
	Store string
	Blobs string
	// Role is the part that this process plays: all, api or worker; a single node plays all.
	Role string

	Auth      Auth
	TLS       TLS
	HTTP      HTTP
	Upstreams []Upstream
	// UpstreamTimeouts bound the phases of a call to any upstream that has no timeouts of its own.
	UpstreamTimeouts Timeouts

	// AllowMixedModels lets the lines of a file name different models.
	AllowMixedModels bool
	// Endpoints are those a batch may be run against, beyond the ones built in.
	Endpoints []string
	// Windows are the accepted completion windows. AnyWindow is set if no source says which: then OpenAI's dialect takes more.
	Windows   []string
	AnyWindow bool
	Limits    batch.Limits
	// InFlightMemory bounds what calls in flight are charged: their requests, and 64 KiB each for their answers.
	InFlightMemory int64
	// CancelGrace is how long the calls of a stopped batch may go on; ShutdownGrace how long a stop of the process
	// may take. ShutdownDelay is the part of it for which the listeners stay open while /readyz says that the process
	// stops.
	CancelGrace   time.Duration
	ShutdownGrace time.Duration
	ShutdownDelay time.Duration
	Retention     Retention
	Scrub         Scrub

	Dialect Dialect
	// Vendors are the settings of the vendors' dialects, by the vendors' names.
	Vendors map[string]dialect.Settings

	Webhooks Webhooks

	Log     Log
	Metrics Metrics
}

// Auth configures who may call.
type Auth struct {
	// Mode is "keys" or "none".
	Mode string
	// BootstrapKey is an API key of the default tenant that is to exist from the start on; "" for none. It comes from
	// BATCHD_BOOTSTRAP_KEY only: neither a file nor a command line keeps a secret.
	BootstrapKey Secret
}

// TLS are the files of the server's certificate; both or none.
type TLS struct{ Cert, Key string }

// HTTP configures how the API and the metrics are served.
type HTTP struct {
	// MaxConnections is how many connections clients may have open; 0 (auto) is what the limit on file descriptors leaves, at most
	// 10,000. MaxConnectionsPerAddress is how many of them may come from one address; 0 is any number.
	MaxConnections           int
	MaxConnectionsPerAddress int
	// MinUploadRate is how many bytes a second the body of a request must come to, over UploadTimeout; a slower one is cut off.
	MinUploadRate int64
	UploadTimeout time.Duration
	// SendTimeout is how long a client may take for the next 64 KiB of an answer before it is cut off.
	SendTimeout time.Duration
}

// Upstream configures an inference server. Printed in any way, it shows no password and no header's value.
type Upstream struct {
	// URL is the base that an OpenAI SDK takes, or "sim" for the built-in simulator.
	URL string
	// Models are those it serves; empty means: ask it.
	Models []string
	// Concurrency is how many calls are in flight at first and at most; 0 (auto) finds how many are worth it.
	Concurrency int
	// Shared is set if others use the engine too. Then, if Concurrency is 0 and the engine has no metrics to go by, few calls
	// are sent to it at a time.
	Shared bool
	// APIKeyEnv and APIKeyFile name where its key is; at most one of them.
	APIKeyEnv  string
	APIKeyFile string
	Headers    map[string]string
	// Timeouts replace those of all upstreams where they are not zero.
	Timeouts Timeouts
	// RequestIDHeader and IdempotencyKeyHeader are the headers that name a line: a name, NoHeader, or "" for X-Request-Id and
	// Idempotency-Key.
	RequestIDHeader      string
	IdempotencyKeyHeader string
}

// Timeouts bound the phases of a call to an upstream.
type Timeouts struct {
	// Dial is for the connection, TLS for the handshake on it.
	Dial time.Duration
	TLS  time.Duration
	// FirstByte lasts from the start of the call to the end of the answer's header, Idle from one piece of request or answer
	// to the next, and Total is for the whole call.
	FirstByte time.Duration
	Idle      time.Duration
	Total     time.Duration
}

// Over returns t with the phases that it leaves at zero taken from base.
func (t Timeouts) Over(base Timeouts) Timeouts {
	return Timeouts{
		Dial: cmp.Or(t.Dial, base.Dial), TLS: cmp.Or(t.TLS, base.TLS), FirstByte: cmp.Or(t.FirstByte, base.FirstByte),
		Idle: cmp.Or(t.Idle, base.Idle), Total: cmp.Or(t.Total, base.Total),
	}
}

// phases are the names of the phases in settings, in order, with their fields.
func (t *Timeouts) phases() []phase {
	return []phase{{"dial", &t.Dial}, {"tls", &t.TLS}, {"first_byte", &t.FirstByte}, {"idle", &t.Idle}, {"total", &t.Total}}
}

// phase is one phase of a call.
type phase struct {
	name  string
	limit *time.Duration
}

// NoHeader is the word that stands for leaving a header out.
const NoHeader = "none"

// Retention is the TTL of files for which nothing else is said; 0 is until they are deleted.
type Retention struct{ Input, Output time.Duration }

// Scrub configures how stored files are read again to find damage: every so often, 0 for never, at so many bytes a second at
// most.
type Scrub struct {
	Every time.Duration
	Rate  int64
}

// Dialect configures which vendor's dialect is spoken: under /v1 it is Default, and under any vendor's prefix that of the call's
// host if it is among Hosts, which maps names of hosts to names of dialects.
type Dialect struct {
	Default string
	Hosts   map[string]string
}

// Dialects lists the names of all dialects, the default first.
func Dialects() []string { return vendors.Names() }

// Webhooks configures which addresses webhooks may call, and how often.
type Webhooks struct {
	// Allow are ranges of private addresses that may be called, in CIDR form; all public addresses may.
	Allow []string
	// Timeout is how long one attempt may take in all.
	Timeout time.Duration
	// FirstPause is the longest pause after the first attempt that failed; it doubles with each further one up to LongestPause.
	// RetryFor is how long after its event a delivery is still tried again.
	FirstPause   time.Duration
	LongestPause time.Duration
	RetryFor     time.Duration
}

// Log configures the server's log.
type Log struct {
	// Level is debug, info, warn or error; Format text or json.
	Level  string
	Format string
}

// Metrics configures where metrics are served to anybody; "" means at the API's address, and to anybody on loopback only.
type Metrics struct{ Listen string }

// Default returns the settings of a server for which nothing is set. Each call returns maps and lists of its own.
func Default() Config {
	switches := make(map[string]dialect.Settings)
	for _, v := range vendors.All() {
		switches[v.Name] = v.DefaultSettings()
	}
	return Config{
		Listen: "127.0.0.1:8080", DataDir: "./batchd-data", Role: "all",
		Auth: Auth{Mode: "keys"},
		HTTP: HTTP{MinUploadRate: batch.KiB, UploadTimeout: 30 * time.Second, SendTimeout: 5 * time.Minute},
		UpstreamTimeouts: Timeouts{
			Dial: 10 * time.Second, TLS: 10 * time.Second, FirstByte: 10 * time.Minute, Idle: 2 * time.Minute, Total: time.Hour,
		},
		Windows: []string{"1h", "24h", "48h", "7d"}, AnyWindow: true, Limits: batch.DefaultLimits(),
		InFlightMemory: 256 * batch.MiB, CancelGrace: time.Minute, ShutdownGrace: 25 * time.Second,
		Scrub:   Scrub{Every: 7 * 24 * time.Hour, Rate: 16 * batch.MiB},
		Dialect: Dialect{Default: vendors.Names()[0]}, Vendors: switches,
		Webhooks: Webhooks{
			Timeout: 15 * time.Second, FirstPause: 5 * time.Second, LongestPause: 6 * time.Hour, RetryFor: 72 * time.Hour,
		},
		Log: Log{Level: "info", Format: "text"},
	}
}
