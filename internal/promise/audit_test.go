package promise

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// maxComplaints bounds how many violations of one kind an audit lists.
const maxComplaints = 5

// result is one line of an output or an error file.
type result struct {
	ID       string `json:"id"`
	CustomID string `json:"custom_id"`
	Response *struct {
		StatusCode int             `json:"status_code"`
		RequestID  string          `json:"request_id"`
		Body       json.RawMessage `json:"body"`
	} `json:"response"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// findings collects violations.
type findings struct {
	of    string
	found []error
}

func (f *findings) addf(format string, args ...any) {
	f.found = append(f.found, fmt.Errorf(f.of+": "+format, args...))
}

func (f *findings) err() error {
	if len(f.found) > maxComplaints {
		more := fmt.Errorf("%s: and %d more", f.of, len(f.found)-maxComplaints)
		return errors.Join(append(f.found[:maxComplaints:maxComplaints], more)...)
	}
	return errors.Join(f.found...)
}

// audited is what an audit saw.
type audited struct {
	job    job
	output []byte
	errors []byte
	// codes counts the lines of the error file by error code; answers that were no success count as "answer".
	codes map[string]int
}

// audit checks a batch that has ended against its input: D2, D3 and D5, and that every answer is byte for byte what
// the engine sent. It needs a running process.
func (n *node) audit(id string, in input) (audited, error) {
	j, err := n.batch(id)
	a := audited{job: j, codes: map[string]int{}}
	if err != nil {
		return a, err
	}
	f := &findings{of: "batch " + id + " (" + j.Status + ")"}
	if !j.terminal() {
		f.addf("has not ended")
		return a, f.err()
	}
	checkTimes(j, f)
	if a.output, err = n.resultFile(j.OutputFileID, id+"_output.jsonl", f); err != nil {
		return a, err
	}
	if a.errors, err = n.resultFile(j.ErrorFileID, id+"_error.jsonl", f); err != nil {
		return a, err
	}
	if j.InProgressAt == nil {
		if j.RequestCounts != (counts{}) || j.OutputFileID != nil || j.ErrorFileID != nil {
			f.addf("D2: ended while validating, yet shows %+v or files", j.RequestCounts)
		}
		return a, f.err()
	}
	seen := make([]bool, in.lines+1)
	outputs := readResults(a.output, in, seen, f, func(n int, r result) { checkOutput(in, n, r, f) })
	failed := 0
	errorLines := readResults(a.errors, in, seen, f, func(n int, r result) {
		code := checkError(in, n, r, f)
		a.codes[code]++
		if code != "batch_expired" && code != "batch_cancelled" {
			failed++
		}
	})
	if outputs+errorLines != in.lines {
		f.addf("D2: %d lines in the output file and %d in the error file, want %d in all", outputs, errorLines, in.lines)
	}
	if want := (counts{in.lines, outputs, failed}); j.RequestCounts != want {
		f.addf("D5: counts are %+v, the files say %+v", j.RequestCounts, want)
	}
	return a, f.err()
}

// resultFile returns the content of a result file, nil where there is none. Its object must describe it.
func (n *node) resultFile(id *string, name string, f *findings) ([]byte, error) {
	if id == nil {
		return nil, nil
	}
	object, err := n.file(*id)
	if err != nil {
		return nil, err
	}
	content, err := n.content(*id)
	if err != nil {
		return nil, err
	}
	if object.Bytes != int64(len(content)) || object.Purpose != "batch_output" || object.Filename != name {
		f.addf("file object %+v does not fit its %d bytes", object, len(content))
	}
	if len(content) == 0 || content[len(content)-1] != '\n' {
		f.addf("%s is empty or does not end in a newline", name)
	}
	return content, nil
}

// readResults reads a result file, checks that its lines are in input order and in no file twice, and returns how
// many there are.
func readResults(content []byte, in input, seen []bool, f *findings, check func(n int, r result)) int {
	lines, last := 0, 0
	reader := bufio.NewReader(bytes.NewReader(content))
	for {
		raw, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return lines
		}
		lines++
		var r result
		if err := json.Unmarshal(raw, &r); err != nil {
			f.addf("result line %d is not JSON: %v", lines, err)
			continue
		}
		n := in.number(r.CustomID)
		if r.Error != nil && r.Error.Code == "input_unreadable" && r.CustomID == "" {
			check(0, r) // the id is part of what cannot be read
			continue
		}
		switch {
		case n == 0:
			f.addf("D2: result for %q, which the input does not hold", r.CustomID)
			continue
		case seen[n]:
			f.addf("D3: line %d has two results", n)
		case n <= last:
			f.addf("D3: line %d comes after line %d", n, last)
		}
		seen[n], last = true, n
		check(n, r)
	}
}

// checkOutput checks a line of the output file against what the engine answers.
func checkOutput(in input, n int, r result, f *findings) {
	name := in.name(n)
	want := answerTo(name, http.StatusOK)
	switch {
	case r.Response == nil || r.Error != nil || r.Response.StatusCode != http.StatusOK:
		f.addf("output line of %s is no success", name)
	case in.anyAnswer:
	case !bytes.Equal(r.Response.Body, want):
		f.addf("D12: answer to %s is %s, the engine sent %s", name, r.Response.Body, want)
	case r.Response.RequestID != "req-"+name || !strings.HasPrefix(r.ID, "batch_req_"):
		f.addf("result of %s has id %q and request id %q", name, r.ID, r.Response.RequestID)
	}
}

// checkError checks a line of the error file and returns its code, "answer" for an answer of the engine.
func checkError(in input, n int, r result, f *findings) string {
	name := in.name(n)
	switch {
	case r.Response != nil && r.Error == nil && in.anyAnswer:
		return "answer"
	case r.Response != nil && r.Error == nil:
		if want := answerTo(name, r.Response.StatusCode); r.Response.StatusCode/100 == 2 || !bytes.Equal(r.Response.Body, want) {
			f.addf("error line of %s has status %d and body %s", name, r.Response.StatusCode, r.Response.Body)
		}
		return "answer"
	case r.Response != nil || r.Error == nil || r.Error.Code == "" || r.Error.Message == "":
		f.addf("error line of %s has neither an answer nor an error, or both", name)
		return "none"
	default:
		return r.Error.Code
	}
}

// checkTimes checks that a batch that has ended says when, and shows no time of an end that it did not have.
func checkTimes(j job, f *findings) {
	at := map[string]*int64{"completed": j.CompletedAt, "failed": j.FailedAt, "expired": j.ExpiredAt, "cancelled": j.CancelledAt}
	for status, t := range at {
		if (t != nil) != (status == j.Status) {
			f.addf("%s_at is %v", status, t)
		}
	}
	if t := at[j.Status]; t != nil && *t < j.CreatedAt {
		f.addf("it ended before it was created")
	}
}

// repeats checks D7 against the engine's log and the ways in which the node's processes ended: within one process no
// line is called twice, one that ended by SIGTERM leaves no call to repeat, and one that was killed leaves at most
// as many as may be in flight. It returns how many calls were repeats.
func (n *node) repeats(concurrency int) (int, error) {
	f := &findings{of: "D7"}
	processes := map[string][]int{}
	for _, c := range n.engine.log() {
		processes[c.key] = append(processes[c.key], c.process)
	}
	after := map[int]int{}
	total := 0
	for key, in := range processes {
		for i := 1; i < len(in); i++ {
			total++
			after[in[i-1]]++
			if in[i] == in[i-1] {
				f.addf("%s was called twice by process %d", key, in[i])
			}
		}
	}
	for process, count := range after {
		switch {
		case process >= len(n.ends):
			f.addf("process %d, which was not stopped, left %d calls to repeat", process, count)
		case n.ends[process].signal == os.Signal(syscall.SIGTERM):
			f.addf("process %d ended by SIGTERM and left %d calls to repeat", process, count)
		case count > concurrency:
			f.addf("process %d left %d calls to repeat, and only %d may be in flight", process, count, concurrency)
		}
	}
	return total, f.err()
}
