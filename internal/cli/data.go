package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"batchd/internal/config"
)

// dataFlags are the flags of every command that opens a server's data folder itself.
type dataFlags struct {
	Config  *string `placeholder:"FILE" help:"Take the data folder from the server's YAML file."`
	DataDir *string `placeholder:"DIR" help:"Data folder of the server (default $$BATCHD_DATA_DIR or ./batchd-data)."`
	JSON    bool    `name:"json" help:"Print JSON."`
}

// folder returns the path of the data folder, by the same rules as the server's.
func (f dataFlags) folder(s *invocation) (string, error) {
	c, err := f.settings(s)
	return c.DataDir, err
}

// settings reads and checks the server's settings, as far as they matter to a command that calls no upstream.
func (f dataFlags) settings(s *invocation) (config.Config, error) {
	src := config.Source{Environ: s.Environ, Flags: add(nil, "--data-dir", "data_dir", f.DataDir), NoCalls: true}
	if f.Config != nil {
		src.File = *f.Config
	}
	c, err := config.Load(src)
	if err = errors.Join(err, c.Validate()); err != nil {
		return c, misuse("%s", faultList(err))
	}
	return c, nil
}

// printObject writes an object of our own as JSON, indented.
func (s *invocation) printObject(object any) error {
	raw, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return s.printJSON(raw)
}

// listObject is a list in JSON, in the form that the API's lists have.
type listObject[T any] struct {
	Object string `json:"object"`
	Data   []T    `json:"data"`
}

// listOf makes the list of what show makes of each item.
func listOf[A, B any](items []A, show func(A) B) listObject[B] {
	list := listObject[B]{Object: "list", Data: []B{}}
	for _, item := range items {
		list.Data = append(list.Data, show(item))
	}
	return list
}

// unixOf is a time as unix seconds, which JSON has; nil for none.
func unixOf(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	seconds := t.Unix()
	return &seconds
}

// momentOf writes a time for people, "-" for none.
func momentOf(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return moment(t.Unix())
}
