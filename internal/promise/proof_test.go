//go:build !failpoint

package promise

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The variables that ask for the proof: how many times to kill, and the file that the figures are written to.
const (
	killsVariable  = "BATCHD_PROOF_KILLS"
	reportVariable = "BATCHD_PROOF_REPORT"
)

// proofs are the parts of the proof. A part strikes as often as was asked for, divided by its
// share; only one that kills may cost calls.
var proofs = []struct {
	name, what  string
	in          input
	concurrency int
	latency     time.Duration
	share       int
	kills       bool
	strike      func(*campaign)
}{
	{
		"kill -9, large batches", "batches of 20,000 lines, 64 in flight, about 40 ms a call",
		input{lines: 20_000, bad: every(50)},
		64, 40 * time.Millisecond, 1, true, (*campaign).killed,
	},
	{
		"kill -9, small batches", "batches of 300 lines, 16 in flight, about 10 ms a call: uploads, validation and finalizing are hit often",
		input{lines: 300, bad: every(7)},
		16, 10 * time.Millisecond, 1, true, (*campaign).killed,
	},
	{
		"SIGTERM", "batches of 2,500 lines, 16 in flight, about 20 ms a call",
		input{lines: 2500, bad: every(50)},
		16, 20 * time.Millisecond, 3, false, (*campaign).terminated,
	},
	{
		"SIGSTOP, SIGCONT", "batches of 2,500 lines, 16 in flight, about 20 ms a call; stopped for up to 0.6 s",
		input{lines: 2500, bad: every(50)},
		16, 20 * time.Millisecond, 3, false, (*campaign).frozen,
	},
}

func every(k int) func(int) bool { return func(n int) bool { return n%k == 0 } }

// TestProof is TestD7 at length. It runs only when it is asked to, and writes down what it counted.
func TestProof(t *testing.T) {
	kills, err := strconv.Atoi(os.Getenv(killsVariable))
	if err != nil || kills < 1 {
		t.Skipf("takes minutes: run make proof, which sets %s", killsVariable)
	}
	var rows strings.Builder
	for _, p := range proofs {
		t.Run(p.name, func(t *testing.T) {
			c := newCampaign(t, p.in, p.concurrency, p.latency)
			sum := c.run(max(1, kills/p.share), func() { p.strike(c) })
			allowed := 0 // only a kill may cost calls
			if p.kills {
				allowed = p.concurrency * sum.blows
			}
			if sum.repeats > allowed {
				t.Errorf("%d calls were repeated, at most %d may be", sum.repeats, allowed)
			}
			fmt.Fprintf(&rows, "| %s | %d | %d | %d | %d | %d | %d | %d | %s |\n", p.name, sum.blows, sum.batches, sum.lines,
				sum.calls, sum.inFlight, allowed, sum.repeats, sum.elapsed.Round(time.Second))
		})
	}
	path := os.Getenv(reportVariable)
	if path == "" || t.Failed() {
		return
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page = []byte(report(rows.String()) + behind(string(page), harms, mistakes))
	if err := os.WriteFile(path, page, 0o644); err != nil {
		t.Fatal(err)
	}
}

// The sections of the page that others write begin so: TestDamageMatrix, and test/mutate.
const (
	harms    = "\n## Damage that was noticed\n"
	mistakes = "\n## Mistakes that tests notice\n"
)

// behind returns what stands from the first of these headings on that there is; "" if there is none.
func behind(page string, headings ...string) string {
	for _, heading := range headings {
		if i := strings.Index(page, heading); i >= 0 {
			return page[i:]
		}
	}
	return ""
}

// report words the figures.
func report(rows string) string {
	var text strings.Builder
	text.WriteString("# What was survived\n\n")
	fmt.Fprintf(&text, "Written by `make proof` on %s (%s/%s, %d processors, %s). Do not edit: run it again.\n\n",
		time.Now().UTC().Format("2 January 2006"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	text.WriteString("The real binary runs batches one after the other against an upstream that logs every call. 5 to 400 ms after\n" +
		"each start it is struck, then started again on the same data directory. A client uploads, creates and watches\n" +
		"meanwhile, and repeats calls that got no answer. In the end every batch is audited from outside, by the API, the\n" +
		"upstream's log and the input file: one result for each line, in input order, with the very bytes that the\n" +
		"upstream sent; counts that equal the files and never went back; statuses that moved only along the graph. The\n" +
		"file is written only if all of that holds for every batch.\n\n")
	text.WriteString("| blows | number | batches | lines | upstream calls | in flight at the blows | most repeats allowed | repeats | time |\n")
	text.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	text.WriteString(rows)
	text.WriteString("\nLost lines: 0. Lines with two results: 0. A *repeat* is a call for a line that an earlier process had called\n" +
		"already. Allowed are, for each kill, the calls that may be in flight (the concurrency of the upstream); *in flight\n" +
		"at the blows* is what the upstream itself saw unanswered at those moments, which leaves out answers that were on\n" +
		"their way back. A process that ends by SIGTERM, or that is stopped and goes on, may repeat nothing.\n\n")
	for _, p := range proofs {
		fmt.Fprintf(&text, "- %s: %s.\n", p.name, p.what)
	}
	text.WriteString("\nDeath at each single step of the durable core is another test: `make failpoint`. Power cuts, where the disk loses\n" +
		"what was not synced, are simulated exhaustively in the packages of the journal, the units and the blobs.\n")
	return text.String()
}
