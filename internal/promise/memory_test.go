//go:build !failpoint && linux

package promise

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestD10 (F19) runs a small and a ten times larger batch, each in a fresh process, and compares the largest memory
// that the two ever held. A limit that must not be reached makes an out-of-memory kill like any other kill, which
// TestD7 repeats; this test shows that files do not lead there.
func TestD10(t *testing.T) {
	const few, many, most = 20_000, 200_000, 200 << 10
	plain := func(n int) string {
		return fmt.Sprintf(`{"custom_id":"line-%07d","method":"POST","url":"/v1/chat/completions",`+
			`"body":{"model":"m","messages":[{"role":"user","content":"line-%07d"}]}}`, n, n)
	}
	for name, c := range map[string]struct {
		line   func(n int) string
		status string
	}{
		"good lines":      {plain, "completed"},
		"failing lines":   {func(n int) string { return strings.ReplaceAll(plain(n), "line-", "bad-") }, "completed"},
		"F19 duplicates":  {func(n int) string { return plain(n % 2) }, "failed"},
		"F19 wrong lines": {func(n int) string { return `{"custom_id":17,"body":` }, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			small := peakOf(t, few, c.status, c.line)
			large := peakOf(t, many, c.status, c.line)
			t.Logf("peak memory %d KiB with %d lines, %d KiB with %d", small, few, large, many)
			if large > 2*small || large > most {
				t.Errorf("%d lines take %d KiB, %d lines %d KiB: want at most twice that, and at most %d", few, small, many, large, most)
			}
		})
	}
}

// peakOf runs a batch of that many lines in a process of its own, downloads the results, and returns the largest
// resident set that the process has had, in KiB.
func peakOf(t *testing.T, lines int, status string, line func(n int) string) int {
	t.Helper()
	n := newNode(t, newEngine(t, steady(0)), 64)
	n.start()
	uploaded, err := n.upload("input.jsonl", func(w io.Writer) error {
		out := bufio.NewWriter(w)
		// The first line is good, or the upload itself would be refused.
		for i := range lines {
			text := line(i)
			if i == 0 && status == "failed" {
				text = "{}"
			}
			if _, err := out.WriteString(text + "\n"); err != nil {
				return err
			}
		}
		return out.Flush()
	})
	if err != nil {
		t.Fatal(err)
	}
	created, err := n.create(uploaded.ID, "24h")
	if err != nil {
		t.Fatal(err)
	}
	j := n.watch(created.ID).await(t, 5*endWithin)
	if j.Status != status {
		t.Fatalf("the batch is %s, want %s", j.Status, status)
	}
	total := 0
	for _, id := range []*string{j.OutputFileID, j.ErrorFileID} {
		if id == nil {
			continue
		}
		total += n.countLines(t, *id)
	}
	if status == "completed" && total != lines {
		t.Errorf("the files hold %d lines, want %d", total, lines)
	}
	peak := peakMemory(t, n.running().cmd.Process.Pid)
	n.stop()
	return peak
}

// countLines downloads a file without holding it.
func (n *node) countLines(t *testing.T, id string) int {
	t.Helper()
	answer, err := n.open(t.Context(), http.MethodGet, "/v1/files/"+id+"/content", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := 0
	scanner := bufio.NewScanner(answer.Body)
	for scanner.Scan() {
		lines++
	}
	if err := scanner.Err(); err != nil {
		t.Error(err)
	}
	return lines
}

// peakMemory returns the largest resident set of a running process, in KiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var peak int
	if _, err := fmt.Sscan(rest, &peak); err != nil {
		t.Fatalf("no VmHWM in /proc/%d/status: %v", pid, err)
	}
	return peak
}
