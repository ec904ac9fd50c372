package httpserver_test

import (
	"testing"

	"batchd/internal/httpserver"
)

func TestLoopbackIsWhatOnlyThisMachineReaches(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:8080": true, "127.255.0.9:1": true, "[::1]:8080": true, "localhost:8080": true,
		":8080": false, "0.0.0.0:8080": false, "[::]:8080": false, "10.0.0.1:8080": false, "192.168.1.2:80": false,
		"example.com:8080": false, "localhost.example.com:8080": false, "127.0.0.1": false, "": false,
	} {
		if got := httpserver.Loopback(address); got != want {
			t.Errorf("loopback of %q: %t, want %t", address, got, want)
		}
	}
}
