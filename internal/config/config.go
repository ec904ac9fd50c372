// Package config is batchd's settings: one struct, filled from defaults, a file, the environment and flags, in this
// order, and checked as a whole, so that every fault is reported at once. It promises that nothing it prints shows
// a secret. It knows nothing of what the settings do.
package config

import (
	"time"

	"batchd/internal/batch"
)

// Simulator is the word that stands for the built-in simulator in place of an upstream's URL.
const Simulator = "sim"

// Config are all settings of a server or of a one-shot run.
type Config struct {
	// Listen is the address of the API.
	Listen string
	// DataDir is the folder that holds the database, the blobs and the journals.
	DataDir string
	// Store and Blobs name other places for metadata and objects; "" for the data folder, the only ones there are yet.
	Store string
	Blobs string
	// Role is what this process does: all, api or worker; a single node does all.
	Role string

	Auth      Auth
	TLS       TLS
	Upstreams []Upstream

	// AllowMixedModels lets the lines of a file name different models.
	AllowMixedModels bool
	// Endpoints are those a batch may be run against, beyond the ones built in.
	Endpoints []string
	// Windows are the accepted completion windows.
	Windows []string
	Limits  batch.Limits
	// CancelGrace is how long the calls of a stopped batch may go on; ShutdownGrace how long a stop of the process
	// may take.
	CancelGrace   time.Duration
	ShutdownGrace time.Duration
	Retention     Retention

	Dialect Dialect
	// OpenAIStrict gives OpenAI's own limits, windows and retention.
	OpenAIStrict bool

	Log     Log
	Metrics Metrics
}

// Auth says who may call.
type Auth struct {
	// Mode is "keys" or "none".
	Mode string
}

// TLS are the files of the server's certificate; both or none.
type TLS struct{ Cert, Key string }

// Upstream is an inference server. Printed in any way, it shows no password and no header's value.
type Upstream struct {
	// URL is the base that an OpenAI SDK takes, or "sim" for the built-in simulator.
	URL string
	// Models are those it serves; empty means: ask it.
	Models []string
	// Concurrency is how many calls may be in flight; 0 leaves it to the server.
	Concurrency int
	// APIKeyEnv and APIKeyFile name where its key is; at most one of them.
	APIKeyEnv  string
	APIKeyFile string
	Headers    map[string]string
}

// Retention is how long files live for which nothing else is said; 0 is until they are deleted.
type Retention struct{ Input, Output time.Duration }

// Dialect says which vendor's shapes are spoken under /v1.
type Dialect struct {
	Default string
	Hosts   map[string]string
}

// Log is how the server logs.
type Log struct {
	// Level is debug, info, warn or error; Format text or json.
	Level  string
	Format string
}

// Metrics says where metrics are served openly; "" means at the API's address, openly on loopback only.
type Metrics struct{ Listen string }

// Default returns the settings of a server that was told nothing.
func Default() Config {
	return Config{
		Listen: "127.0.0.1:8080", DataDir: "./batchd-data", Role: "all",
		Auth:    Auth{Mode: "keys"},
		Windows: []string{"1h", "24h", "48h", "7d"}, Limits: batch.DefaultLimits(),
		CancelGrace: time.Minute, ShutdownGrace: 25 * time.Second,
		Dialect: Dialect{Default: "openai"},
		Log:     Log{Level: "info", Format: "text"},
	}
}
