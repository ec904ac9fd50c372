package novita

import (
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// The keys of Novita's settings.
const (
	strictKey     = "strict"
	statusCaseKey = "status_case"
	timeZoneKey   = "time_zone"
)

const (
	// maxLines and maxFileBytes are Novita's limits on a batch's file. Its pages write MB, taken for MiB so that no file is
	// refused which Novita takes.
	maxLines     = 50_000
	maxFileBytes = 100 * batch.MiB

	day       = 24 * time.Hour
	inputTTL  = 15 * day
	outputTTL = 30 * day
)

// Vendor returns Novita AI as batchd speaks like it. The prefix is the path of its own servers.
func Vendor() dialect.Vendor {
	return dialect.Vendor{
		Name: Name, Prefix: "/openai/v1",
		// The base URLs of Novita's own SDKs; the second is that of Azure's clients, too.
		Aliases: []string{"/v3/openai", "/openai"},
		Switches: []dialect.Switch{
			{Key: strictKey, OnOff: true},
			{Key: statusCaseKey, Words: []string{UpperCase, LowerCase}},
			{Key: timeZoneKey, Check: func(text string) error { _, err := parseZone(text); return err }},
		},
		Profile: profile,
	}
}

// profile has Novita's limits, unless the server's own are tighter, and its retention. Its endpoints and windows hold alone
// if it is spoken strictly, and else beside the server's.
func profile(s dialect.Settings, server dialect.Server) (dialect.Profile, error) {
	zone, err := parseZone(s[timeZoneKey])
	if err != nil {
		return dialect.Profile{}, fmt.Errorf("%s: %w", timeZoneKey, err)
	}
	strict := s.On(strictKey)
	p := server.Profile(New(Options{Strict: strict, StatusCase: s[statusCaseKey], Zone: zone}))
	p.Tighten(maxLines, maxFileBytes)
	p.InputTTL, p.OutputTTL = inputTTL, outputTTL
	p.Paging.Clamp = true
	if strict {
		p.CreateRules = dialect.CreateRules{Endpoints: []string{"/v1/chat/completions", "/v1/completions"}}
	}
	p.AddWindows("24h", defaultWindow)
	return p, nil
}

// parseZone reads a name of the IANA database or an offset like +08:00; "" is UTC.
func parseZone(text string) (*time.Location, error) {
	if at, err := time.Parse("-07:00", text); err == nil {
		_, seconds := at.Zone()
		return time.FixedZone("", seconds), nil
	}
	zone, err := time.LoadLocation(text)
	if err != nil {
		return nil, fmt.Errorf("want a name like Asia/Jakarta or an offset like +08:00, got %q", text)
	}
	return zone, nil
}
