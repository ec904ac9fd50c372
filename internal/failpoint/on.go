//go:build failpoint && unix

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Enabled reports whether this build obeys BATCHD_FAILPOINT.
const Enabled = true

// script is what BATCHD_FAILPOINT asks for: "NAME" or "NAME@N" dies by SIGKILL at the N-th hit of NAME.
type script struct {
	name Name
	nth  int

	// mu guards hits.
	mu   sync.Mutex
	hits int
}

// loaded reads BATCHD_FAILPOINT at the first hit. A setting that cannot be read ends the process: a crash test that never
// crashes would pass.
var loaded = sync.OnceValue(func() *script {
	text := os.Getenv("BATCHD_FAILPOINT")
	name, count, found := strings.Cut(text, "@")
	s := &script{name: Name(name), nth: 1}
	if found {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 {
			panic(fmt.Sprintf("failpoint: BATCHD_FAILPOINT=%q: want NAME or NAME@N", text))
		}
		s.nth = n
	}
	return s
})

// Hit ends the process by SIGKILL, as kill -9 would, when BATCHD_FAILPOINT names this place and hit.
func Hit(name Name) {
	s := loaded()
	if s.name != name {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hits++
	if s.hits == s.nth {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way; nothing more may happen
	}
}
