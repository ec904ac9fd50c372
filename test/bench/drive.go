package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// batchView is what the bench reads of a batch.
type batchView struct {
	ID           string `json:"id"`
	Status       string `json:"status"`
	OutputFileID string `json:"output_file_id"`
	Counts       struct {
		Total     int `json:"total"`
		Completed int `json:"completed"`
		Failed    int `json:"failed"`
	} `json:"request_counts"`
}

// server starts batchd on a directory, fresh unless it exists.
func (b *bench) server(dir, upstream string, args ...string) (*process, error) {
	return startServer(b.binary, dir, upstream, args...)
}

// startServer starts a batchd of any binary.
func startServer(binary, dir, upstream string, args ...string) (*process, error) {
	all := append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--upstream", upstream + "/v1"}, args...)
	return start(binary, all...)
}

// upload streams a file to the server.
func upload(url, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read from
	read, write := io.Pipe()
	form := multipart.NewWriter(write)
	go func() { // ends when the request has read everything or given up
		_ = form.WriteField("purpose", "batch")
		part, err := form.CreateFormFile("file", filepath.Base(path))
		if err == nil {
			_, err = io.Copy(part, f)
		}
		if err == nil {
			err = form.Close()
		}
		write.CloseWithError(err)
	}()
	var file struct {
		ID string `json:"id"`
	}
	err = call(http.MethodPost, url+"/v1/files", form.FormDataContentType(), read, &file)
	return file.ID, err
}

// create makes a batch of an uploaded file.
func create(url, file string) (batchView, error) {
	body := fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h"}`, file)
	var v batchView
	err := call(http.MethodPost, url+"/v1/batches", "application/json", strings.NewReader(body), &v)
	return v, err
}

// wait polls a batch until it is done, at the given pace.
func wait(url, id string, pace time.Duration) error {
	for {
		var v batchView
		if err := call(http.MethodGet, url+"/v1/batches/"+id, "", nil, &v); err != nil {
			return err
		}
		switch v.Status {
		case "completed":
			return nil
		case "failed", "expired", "cancelled":
			return fmt.Errorf("batch %s: %s", id, v.Status)
		}
		time.Sleep(pace)
	}
}

// call makes one API call and decodes the answer.
func call(method, url, contentType string, body io.Reader, into any) error {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %d %s", method, url, resp.StatusCode, raw)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(raw, into)
}

// metric reads one number, summed over its labels, from the server's metrics.
func metric(url, name string) (float64, error) {
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, l := range bytes.Split(raw, []byte("\n")) {
		fields := strings.Fields(string(l))
		if len(fields) == 2 && (fields[0] == name || strings.HasPrefix(fields[0], name+"{")) {
			v, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				return 0, err
			}
			sum += v
		}
	}
	return sum, nil
}
