package sim_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"batchd/internal/sim"
)

// An engine whose first answer to every body is lost.
func Example() {
	script, err := sim.ParseScript([]byte(`{"rules": [{"match": {"attempts": 1}, "action": {"status": 503}}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := sim.New(sim.Options{Faults: script})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(engine)
	defer server.Close()

	body := `{"model": "any", "messages": [{"role": "user", "content": "Hello"}]}`
	for range 2 {
		res, err := http.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		drain(res)
		fmt.Println(res.Status)
	}
	// Output:
	// 503 Service Unavailable
	// 200 OK
}
