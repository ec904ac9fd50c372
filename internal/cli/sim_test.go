package cli

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
)

// startSim runs `batchd sim` with flags on a free port, and returns its address. It is stopped with the test, which fails
// unless the exit code is 0.
func startSim(t *testing.T, flags ...string) string {
	t.Helper()
	out, in := io.Pipe()
	signals := make(chan os.Signal)
	ended := make(chan int, 1)
	go func() { // the cleanup waits for its end
		ended <- Main(Process{Args: append([]string{"sim", "--listen", "127.0.0.1:0"}, flags...), Stdout: in, Stderr: in, Signals: signals})
		_ = in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("batchd sim said %q, %v", line, err)
	}
	t.Cleanup(func() {
		signals <- os.Interrupt
		if code := <-ended; code != 0 {
			t.Errorf("batchd sim %q exited with %d", flags, code)
		}
	})
	return address
}

func TestSimBatchesAsItsFlagsSay(t *testing.T) {
	t.Parallel()
	url := startSim(t, "--engine", "batching", "--model", "m", "--max-num-seqs", "2", "--max-num-batched-tokens", "100", "--kv-tokens", "500",
		"--step-time", "1ms", "--step-time-per-seq", "1us", "--per-prompt-token", "1us", "--step-time-per-kv-token", "1ns", "--speed", "0s=2",
		"--capacity", "0s=1", "--queue", "9", "--by-priority", "--interactive-rate", "1", "--interactive-prompt-tokens", "10",
		"--interactive-output-tokens", "5", "--interactive-priority=-1", "--interactive-burst", "2", "--interactive-burst-every", "10s",
		"--interactive-burst-for", "1s")
	for body, want := range map[string]int{
		`{"model":"m","prompt":"hello","max_tokens":20}`:                    http.StatusOK,
		`{"model":"other","prompt":"hello"}`:                                http.StatusNotFound,
		`{"model":"m","prompt":"hello","max_tokens":500,"ignore_eos":true}`: http.StatusBadRequest,
	} {
		res, err := http.Post(url+"/completions", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", body, res.StatusCode, want)
		}
	}
	res, err := http.Get(strings.TrimSuffix(url, "/v1") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	for _, want := range []string{`vllm:kv_cache_usage_perc{model_name="m"}`, `sim:online_time_to_first_token_seconds{model_name="m",quantile="0.99"}`} {
		if err != nil || !bytes.Contains(page, []byte(want)) {
			t.Errorf("%v, metrics lack %s:\n%s", err, want, page)
		}
	}
}

func TestSimRefusesFlagsByTheirNames(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]string{
		"--max-num-seqs 4":                             "--engine batching",
		"--interactive-rate 4":                         "--engine batching",
		"--engine vllm":                                "--engine",
		"--engine batching --seats 4":                  "--seats is for --engine seats",
		"--engine batching --timetable 5m=4":           "--timetable is for --engine seats",
		"--engine batching --latency 1s":               "--latency is for --engine seats",
		"--engine batching --per-output-token 1s":      "--per-output-token is for --engine seats",
		"--engine batching --jitter 1":                 "--jitter is for --engine seats",
		"--engine batching --interactive-burst 2":      "--interactive-rate",
		"--engine batching --capacity 5m":              "TIME=FACTOR",
		"--engine batching --speed 5m=0":               "stands still",
		"--engine batching --max-num-batched-tokens 2": "--max-num-batched-tokens is not above",
		"--engine batching --max-num-seqs=-5":          "--max-num-seqs is below one",
		"--engine batching --step-time=-1ms":           "--step-time is not above zero",
		"--engine batching --capacity 0s=-1":           "--capacity has factor -1",
		"--engine batching --interactive-rate=-1":      "--interactive-rate is -1",
		"--engine batching --kv-tokens=-1":             "--kv-tokens is below zero",
		"--refuse-status 20":                           "--refuse-status is 20",
		"--latency=-1s":                                "--latency is below zero",
		"--timetable 5m=3,1m=2":                        "--timetable is at 1m0s, not after 5m0s",
	} {
		var said bytes.Buffer
		code := Main(Process{Args: append([]string{"sim", "--listen", "127.0.0.1:0"}, strings.Fields(flags)...), Stdout: io.Discard, Stderr: &said})
		if code != 2 || !strings.Contains(said.String(), want) {
			t.Errorf("%s: code %d, %q, want %q in it", flags, code, &said, want)
		}
	}
}

func TestThePageOfSimHasEveryFlag(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/sim.md")
	if err != nil {
		t.Fatal(err)
	}
	var g grammar
	parser, err := (&invocation{}).parser(&g, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, command := range parser.Model.Children {
		if command.Name != "sim" {
			continue
		}
		for _, f := range command.Flags {
			known++
			if !bytes.Contains(page, []byte("`--"+f.Name+"`")) {
				t.Errorf("docs/sim.md lacks --%s", f.Name)
			}
		}
	}
	if flags := reflect.TypeFor[simCommand]().NumField(); known < flags {
		t.Errorf("%d flags were looked at, want at least %d", known, flags)
	}
}
