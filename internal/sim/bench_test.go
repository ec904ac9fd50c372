package sim_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"batchd/internal/sim"
)

func BenchmarkChatOverLoopback(b *testing.B) {
	srv := httptest.NewServer(newEngine(b, sim.Options{}))
	defer srv.Close()
	client := srv.Client()
	as[*http.Transport](b, client.Transport).MaxIdleConnsPerHost = 64
	benchmarkChat(b, client, srv.URL+"/v1/chat/completions")
}

func BenchmarkChatOverMemory(b *testing.B) {
	network := sim.NewNetwork()
	srv := &httptest.Server{Listener: network, Config: &http.Server{Handler: newEngine(b, sim.Options{})}}
	srv.Start()
	defer srv.Close()
	transport := &http.Transport{DialContext: network.DialContext, MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	benchmarkChat(b, &http.Client{Transport: transport}, chatURL)
}

func benchmarkChat(b *testing.B, client *http.Client, url string) {
	b.Helper()
	body := chatBody("What is the capital of Indonesia?")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, err := client.Post(url, "application/json", strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			drain(res)
		}
	})
}

func BenchmarkChatInProcess(b *testing.B) {
	e := newEngine(b, sim.Options{})
	body := chatBody("What is the capital of Indonesia?")
	b.ReportAllocs()
	for b.Loop() {
		post(e, "/v1/chat/completions", body)
	}
}
