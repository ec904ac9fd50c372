package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/webhook"

	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/webhooks"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// loopback is a guard for receivers of tests.
func loopback() webhook.Guard { return guard("127.0.0.0/8", "::1/128") }

// delivery returns one of batch_1's completion to an address.
func delivery(url string, secrets ...string) store.Delivery {
	if len(secrets) == 0 {
		secrets = []string{store.NewSecret()}
	}
	return store.Delivery{
		ID: "wh_1", Tenant: "t", EventID: "evt_1", Event: batch.EventCompleted, Batch: "batch_1", Dialect: "openai",
		CreatedAt: time.Unix(1_700_000_000, 987), Webhook: "we_1", URL: url, Secrets: secrets, State: store.DeliveryPending,
	}
}

// received is what a receiver saw of a call.
type received struct {
	method, path string
	header       http.Header
	body         []byte
}

// receiver starts one that notes each call and answers with status.
func receiver(t *testing.T, status int) (string, <-chan received) {
	t.Helper()
	calls := make(chan received, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read call: %v", err)
		}
		calls <- received{r.Method, r.URL.RequestURI(), r.Header, body}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL, calls
}

func TestAReceiverSeesTheEventAsDocumented(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_100, 5)
	url, calls := receiver(t, http.StatusNoContent)
	c := webhook.NewCaller(webhook.CallerOptions{Guard: loopback(), UserAgent: "batchd/1.2.3", Now: func() time.Time { return at }})
	if a := c.Call(t.Context(), delivery(url+"/hook?token=x")); !a.OK() || a.Status != http.StatusNoContent || a.Err != nil {
		t.Fatalf("got %+v", a)
	}
	got := <-calls
	const body = `{"id":"evt_1","object":"event","type":"batch.completed","created_at":1700000000,"data":{"id":"batch_1"}}`
	if got.method != http.MethodPost || got.path != "/hook?token=x" || string(got.body) != body {
		t.Errorf("got %s %s %s, want %s", got.method, got.path, got.body, body)
	}
	if !strings.HasPrefix(got.header.Get("Webhook-Signature"), "v1,") {
		t.Errorf("got signature %q", got.header.Get("Webhook-Signature"))
	}
	got.header.Del("Webhook-Signature")
	want := http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"batchd/1.2.3"}, "Webhook-Id": {"wh_1"},
		"Webhook-Timestamp": {"1700000100"}, "Content-Length": {strconv.Itoa(len(body))}, "Connection": {"close"},
	}
	if diff := cmp.Diff(want, got.header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestStandardWebhooksAndOpenAIsSDKVerifyOurSignatures(t *testing.T) {
	t.Parallel()
	url, calls := receiver(t, http.StatusOK)
	current, previous := store.NewSecret(), store.NewSecret()
	if a := webhook.NewCaller(webhook.CallerOptions{Guard: loopback()}).Call(t.Context(), delivery(url, current, previous)); !a.OK() {
		t.Fatalf("got %+v", a)
	}
	got := <-calls
	for name, c := range map[string]struct {
		secret string
		want   bool
	}{"current": {current, true}, "previous": {previous, true}, "another": {store.NewSecret(), false}} {
		verifier, err := standardwebhooks.NewWebhook(c.secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.Verify(got.body, got.header); (err == nil) != c.want {
			t.Errorf("Standard Webhooks, %s secret: %v", name, err)
		}
		sdk := webhooks.NewWebhookService(option.WithWebhookSecret(c.secret))
		event, err := sdk.Unwrap(got.body, got.header)
		if (err == nil) != c.want {
			t.Errorf("OpenAI's SDK, %s secret: %v", name, err)
		}
		if err == nil && (event.ID != "evt_1" || event.Type != "batch.completed" || event.AsBatchCompleted().Data.ID != "batch_1") {
			t.Errorf("OpenAI's SDK reads %+v", event)
		}
	}
	tampered := append([]byte(nil), got.body...)
	tampered[len(tampered)-3] = '2'
	if err := webhooksOf(current).VerifySignature(tampered, got.header); err == nil {
		t.Error("a changed body was verified")
	}
}

func webhooksOf(secret string) *webhooks.WebhookService {
	s := webhooks.NewWebhookService(option.WithWebhookSecret(secret))
	return &s
}

func TestADeliveryWithoutAUsableSecretIsNotSent(t *testing.T) {
	t.Parallel()
	url, calls := receiver(t, http.StatusOK)
	none, broken := delivery(url), delivery(url, "whsec_%%%")
	none.Secrets = nil
	for name, d := range map[string]store.Delivery{"none": none, "broken": broken} {
		if a := webhook.NewCaller(webhook.CallerOptions{Guard: loopback()}).Call(t.Context(), d); a.Err == nil || a.OK() {
			t.Errorf("%s: got %+v", name, a)
		}
	}
	if len(calls) > 0 {
		t.Error("it was sent")
	}
}

func TestEveryStatusIsAnAnswerAndOnly2xxIsGood(t *testing.T) {
	t.Parallel()
	for status, ok := range map[int]bool{200: true, 202: true, 204: true, 299: true, 302: false, 304: false, 400: false, 410: false, 500: false} {
		url, _ := receiver(t, status)
		a := webhook.NewCaller(webhook.CallerOptions{Guard: loopback()}).Call(t.Context(), delivery(url))
		if a.Status != status || a.Err != nil || a.OK() != ok {
			t.Errorf("%d: got %+v", status, a)
		}
	}
}

func TestRetryAfterOfAReceiverIsRead(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer s.Close()
	a := webhook.NewCaller(webhook.CallerOptions{Guard: loopback()}).Call(t.Context(), delivery(s.URL))
	if a.Status != http.StatusServiceUnavailable || a.RetryAfter != 90*time.Second {
		t.Errorf("got %+v", a)
	}
}

func TestI30SilentReceiverIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"endless answer": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_ = http.NewResponseController(w).Flush() // it fails only when the caller is gone
			<-r.Context().Done()
		},
	} {
		s := httptest.NewServer(readFirst(serve))
		c := webhook.NewCaller(webhook.CallerOptions{Guard: loopback(), Timeout: 50 * time.Millisecond})
		a := c.Call(t.Context(), delivery(s.URL))
		if a.OK() || a.Took < 50*time.Millisecond {
			t.Errorf("%s: got %+v", name, a)
		}
		if name == "no answer" && (a.Err == nil || a.Err.Error() != "no answer within 50ms") {
			t.Errorf("%s: got %v", name, a.Err)
		}
		s.Close()
	}
}

// readFirst reads the call before it is served, without which a server does not notice that its caller is gone.
func readFirst(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // what is missing is noticed by the context
		serve(w, r)
	}
}

func TestI30HugeAnswerIsCutOff(t *testing.T) {
	t.Parallel()
	var taken atomic.Int64
	s := httptest.NewServer(readFirst(func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 64<<10); ; {
			n, err := w.Write(piece)
			taken.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	a := webhook.NewCaller(webhook.CallerOptions{Guard: loopback()}).Call(t.Context(), delivery(s.URL))
	s.Close()
	if !a.OK() {
		t.Errorf("got %+v", a)
	}
	if got := taken.Load(); got > 64<<20 { // what is beyond the 64 KiB are buffers of the two sockets
		t.Errorf("%d bytes of the answer were taken", got)
	}
}

func TestI30LongHeaderIsAFailure(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 128<<10))
	}))
	defer s.Close()
	if a := webhook.NewCaller(webhook.CallerOptions{Guard: loopback()}).Call(t.Context(), delivery(s.URL)); a.Err == nil {
		t.Errorf("got %+v", a)
	}
}

// nearEnd returns the near end of a connection: an address on which nobody listens, and that nobody else can be given.
func nearEnd(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), l.Close() })
	return c.LocalAddr().String()
}

func TestAnErrorDoesNotRepeatTheURL(t *testing.T) {
	t.Parallel()
	refusing := nearEnd(t)
	for _, url := range []string{"http://" + refusing + "/hook?token=s3cret", "http://10.0.0.1/s3cret", "https://%zz/s3cret"} {
		a := webhook.NewCaller(webhook.CallerOptions{Guard: loopback()}).Call(t.Context(), delivery(url))
		if a.Err == nil || strings.Contains(a.Err.Error(), "s3cret") {
			t.Errorf("%s: got %v", url, a.Err)
		}
	}
}

func TestACertificateThatNobodyVouchesForIsRefused(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	defer s.Close()
	if a := webhook.NewCaller(webhook.CallerOptions{Guard: loopback()}).Call(t.Context(), delivery(s.URL)); a.Err == nil || a.Status != 0 {
		t.Errorf("got %+v", a)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(readFirst(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer s.Close()
	a := webhook.NewCaller(webhook.CallerOptions{Guard: loopback()}).Call(ctx, delivery(s.URL))
	if !errors.Is(a.Err, context.Canceled) {
		t.Errorf("got %+v", a)
	}
}

func TestI17RedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	inside, calls := receiver(t, http.StatusOK)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := httptest.NewServer(http.RedirectHandler(inside, status))
		a := webhook.NewCaller(webhook.CallerOptions{Guard: loopback()}).Call(t.Context(), delivery(s.URL))
		s.Close()
		if a.Status != status || a.OK() {
			t.Errorf("%d: got %+v", status, a)
		}
	}
	if len(calls) > 0 {
		t.Error("the redirect was followed")
	}
}

// trap listens on both loopback addresses and counts who comes.
func trap(t *testing.T) (port string, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(l.Addr().String())
	listeners := []net.Listener{l}
	if six, err := net.Listen("tcp", "[::1]:"+port); err == nil {
		listeners = append(listeners, six) // where there is no IPv6, nobody can come by it
	}
	for _, l := range listeners {
		ended := make(chan struct{})
		go func() { // ends with the listener, and is waited for below
			defer close(ended)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				connections.Add(1)
				_ = c.Close() // who came has been counted
			}
		}()
		t.Cleanup(func() {
			_ = l.Close() // nobody listens any more
			<-ended
		})
	}
	return port, connections
}

func TestI17AddressInsideIsRefusedAtConnect(t *testing.T) {
	t.Parallel()
	port, connections := trap(t)
	names := map[string]string{
		"0x7f000001":       "127.0.0.1", // as a resolver of C's kind reads it
		"metadata.example": "169.254.169.254", "inside.example": "10.0.0.1", "loop.example": "127.0.0.1",
	}
	c := webhook.NewCaller(webhook.CallerOptions{Resolver: resolver(t, func(name string) string { return names[name] })})
	for _, host := range []string{
		"127.0.0.1", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]",
		"0.0.0.0", "[::]", "10.0.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "[fd00::1]", "255.255.255.255",
		"0x7f000001", "metadata.example", "inside.example", "loop.example",
	} {
		for _, scheme := range []string{"http", "https"} {
			a := c.Call(t.Context(), delivery(fmt.Sprintf("%s://%s:%s/", scheme, host, port)))
			if !errors.Is(a.Err, webhook.ErrRefused) {
				t.Errorf("%s://%s: got %+v, want a refusal", scheme, host, a)
			}
		}
	}
	for _, host := range []string{"2130706433", "127.1", "0177.0.0.1"} { // no name, for Go's resolver
		if a := c.Call(t.Context(), delivery("http://"+host+":"+port+"/")); a.Err == nil {
			t.Errorf("%s: got %+v", host, a)
		}
	}
	if n := connections.Load(); n > 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestI17NameThatFlipsIsRefusedAtConnect(t *testing.T) {
	t.Parallel()
	port, connections := trap(t)
	var asked atomic.Int64
	r := resolver(t, func(string) string {
		if asked.Add(1) == 1 {
			return "93.184.215.14"
		}
		return "127.0.0.1"
	})
	first, err := r.LookupHost(t.Context(), "flip.example")
	if err != nil || len(first) == 0 || first[0] != "93.184.215.14" {
		t.Fatalf("whoever looks first sees %v, %v, want a public address", first, err)
	}
	a := webhook.NewCaller(webhook.CallerOptions{Resolver: r}).Call(t.Context(), delivery("http://flip.example:"+port+"/"))
	if !errors.Is(a.Err, webhook.ErrRefused) || connections.Load() > 0 {
		t.Errorf("got %+v and %d connections, want a refusal", a, connections.Load())
	}
}

func TestANameIsCalledAtTheAddressThatItHas(t *testing.T) {
	t.Parallel()
	url, calls := receiver(t, http.StatusOK)
	r := resolver(t, func(string) string { return "127.0.0.1" })
	c := webhook.NewCaller(webhook.CallerOptions{Guard: loopback(), Resolver: r})
	if a := c.Call(t.Context(), delivery(strings.Replace(url, "127.0.0.1", "hooks.example", 1))); !a.OK() || len(calls) != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestTheEnvironmentsProxyIsNotUsed(t *testing.T) {
	proxy, calls := receiver(t, http.StatusOK)
	t.Setenv("HTTP_PROXY", proxy)
	t.Setenv("ALL_PROXY", proxy)
	r := resolver(t, func(string) string { return "10.0.0.1" })
	a := webhook.NewCaller(webhook.CallerOptions{Guard: loopback(), Resolver: r}).Call(t.Context(), delivery("http://inside.example/"))
	if !errors.Is(a.Err, webhook.ErrRefused) || len(calls) > 0 {
		t.Errorf("got %+v", a)
	}
}
