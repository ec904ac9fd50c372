package app

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/config"
)

// object sends a request and reads the object that it is answered with.
func (s *stopping) object(method, path, contentType, body string) (o struct {
	ID        string `json:"id"`
	Status    string `json:"status"`
	Output    string `json:"output_file_id"`
	ExpiresAt int64  `json:"expires_at"`
	CreatedAt int64  `json:"created_at"`
},
) {
	s.t.Helper()
	request, err := http.NewRequest(method, "http://localhost/v1/"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	status, answer := s.send(request)
	if err := json.Unmarshal([]byte(answer), &o); err != nil || status != http.StatusOK {
		s.t.Fatalf("%s %s: status %d, %v: %s", method, path, status, err, answer)
	}
	return o
}

// upload stores a file of one request.
func (s *stopping) upload() string {
	s.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.WriteField("purpose", "batch")
	file, err := form.CreateFormFile("file", "in.jsonl")
	if err == nil {
		_, err = file.Write([]byte(`{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"x"}}`))
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return s.object(http.MethodPost, "files", form.FormDataContentType(), body.String()).ID
}

// The whole server, with everything that its parts do with their clocks.
func TestF16WhatAServerMakesUnderAWrongClockLivesAsLongAsItShould(t *testing.T) {
	for _, wrong := range []time.Duration{-10 * 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var off atomic.Int64
			cfg := config.Default()
			cfg.Retention = config.Retention{Input: time.Hour, Output: time.Hour}
			s := serveUnder(t, cfg, func() time.Time { return time.Now().Add(time.Duration(off.Load())) })
			time.Sleep(time.Minute)
			before := s.upload()
			off.Store(int64(wrong))
			time.Sleep(time.Second)

			in := s.upload()
			b := s.object(http.MethodPost, "batches", "application/json",
				`{"input_file_id":"`+before+`","endpoint":"/v1/embeddings","completion_window":"24h"}`)
			if shown := time.Unix(b.CreatedAt, 0); time.Since(shown)+wrong > time.Minute || b.ExpiresAt-b.CreatedAt != 24*60*60 {
				t.Errorf("created_at is %s, expires_at %d s later; want the wall clock's", shown, b.ExpiresAt-b.CreatedAt)
			}
			time.Sleep(20 * time.Second)
			if b = s.object(http.MethodGet, "batches/"+b.ID, "", ""); b.Status != "completed" {
				t.Errorf("the batch is %s under a wrong clock", b.Status)
			}
			off.Store(0)
			there := func(when string, want map[string]int) {
				t.Helper()
				for file, status := range want {
					if got, body := s.get("/v1/files/" + file + "/content"); got != status {
						t.Errorf("%s: wrong by %s: status %d for %s, want %d: %s", when, wrong, got, file, status, body)
					}
				}
			}
			time.Sleep(58 * time.Minute)
			there("before an hour", map[string]int{before: 200, in: 200, b.Output: 200})
			time.Sleep(3 * time.Minute)
			gone := 404
			if wrong > 0 {
				gone = 200 // kept with the expiry that was shown
			}
			there("after an hour", map[string]int{before: 404, in: gone, b.Output: gone})
			s.end(nil)
			if err := <-s.ended; err != nil {
				t.Error(err)
			}
		})
	}
}
