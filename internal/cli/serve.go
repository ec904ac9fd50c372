package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"batchd/internal/app"
	"batchd/internal/config"
)

// serveCommand runs the server. A flag that was not given is nil, so that it does not override the file and the environment.
type serveCommand struct {
	engineFlags
	Listen       *string  `placeholder:"HOST:PORT" help:"Address of the API (default 127.0.0.1:8080)."`
	AllowedHosts []string `placeholder:"HOST" help:"Host names to accept beside those of the address, while no API key is required."`
	DataDir      *string  `placeholder:"DIR" help:"Directory for the database, files and journals (default ./batchd-data)."`
	NoAuth       bool     `help:"Require no API key: anyone who can reach the address may use the server."`
	TLSCert      *string  `name:"tls-cert" placeholder:"FILE" help:"Serve HTTPS with this certificate chain."`
	TLSKey       *string  `name:"tls-key" placeholder:"FILE" help:"Private key of the certificate."`
	Role         *string  `placeholder:"all" help:"Role of this process; this version has none but all."`
}

// Run serves until a signal comes. A second signal ends the process at once, which loses nothing that was acknowledged.
func (c *serveCommand) Run(s *invocation) error {
	var flags []config.Flag
	flags = add(flags, "--listen", "listen", c.Listen)
	if len(c.AllowedHosts) > 0 {
		flags = append(flags, config.Flag{Name: "--allowed-hosts", Key: "allowed_hosts", Values: c.AllowedHosts})
	}
	flags = add(flags, "--data-dir", "data_dir", c.DataDir)
	flags = add(flags, "--tls-cert", "tls.cert", c.TLSCert)
	flags = add(flags, "--tls-key", "tls.key", c.TLSKey)
	flags = add(flags, "--role", "role", c.Role)
	if c.NoAuth {
		flags = append(flags, config.Flag{Name: "--no-auth", Key: "auth.mode", Values: []string{"none"}})
	}
	cfg, err := c.settings(s, flags)
	if err != nil {
		return err
	}
	log := logger(s.Stderr, cfg.Log, slog.LevelDebug)
	slog.SetDefault(log) // net/http writes some lines to the standard logger, which has no other switch
	err = app.Serve(s.ctx, cfg, log, func(a net.Addr) { announce(s, cfg, log, a) })
	if s.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // the signal came while the server was starting
	}
	return err
}

// announce says where the server is, with the port that it got if none was given. A log in JSON stays JSON, since whoever asks for
// that has a program read every line.
func announce(s *invocation, cfg config.Config, log *slog.Logger, a net.Addr) {
	scheme := "http"
	if cfg.TLS.Cert != "" {
		scheme = "https"
	}
	at := scheme + "://" + a.String()
	if cfg.Log.Format == "json" {
		log.Info("listening", "url", at, "data", cfg.DataDir)
	} else {
		fmt.Fprintf(s.Stderr, "batchd listening on %s (data in %s)\n", at, cfg.DataDir)
	}
}
