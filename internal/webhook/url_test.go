package webhook_test

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/webhook"
)

func TestURLsThatCanBeCalledAreTaken(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"https://example.com", "https://example.com/", "http://example.com:8080/hook?key=a%20b", "HTTPS://EXAMPLE.COM/x",
		"https://example.com.", "https://8.8.8.8/", "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:8443/", "https://a.b.c.d.example/",
		"https://xn--bcher-kva.example/", "https://1.example.com", "https://0x7f000001.example.com", "https://example.com:",
		"https://hooks", "https://[::ffff:8.8.8.8]/", "https://example.com/" + strings.Repeat("x", 2028),
	} {
		if err := (webhook.Guard{}).CheckURL("callback_url", raw); err != nil {
			t.Errorf("%.60s was refused: %v", raw, err)
		}
	}
}

func TestURLsThatCouldNeverBeCalledAreRefused(t *testing.T) {
	t.Parallel()
	for raw, why := range map[string]string{
		"":                                      "begins with http:// or https://",
		"example.com/hook":                      "begins with http:// or https://",
		"ftp://example.com/":                    "begins with http:// or https://",
		"file:///etc/passwd":                    "begins with http:// or https://",
		"gopher://example.com/":                 "begins with http:// or https://",
		"https:example.com":                     "begins with http:// or https://",
		"//example.com/":                        "begins with http:// or https://",
		"https://exa mple.com/":                 "begins with http:// or https://",
		"https://example.com/\r\nHost: inside":  "begins with http:// or https://",
		"https:///path":                         "no host",
		"https://:443/":                         "no host",
		"https://me:pw@example.com/":            "user name or password",
		"https://8.8.8.8@10.0.0.1/":             "user name or password",
		"https://example.com/#part":             "fragment",
		"https://example.com/#":                 "fragment",
		"https://example.com:0/":                "port",
		"https://example.com:65536/":            "port",
		"https://bücher.example/":               "xn--",
		"https://１２７.0.0.1/":                    "xn--",
		"https://127。0。0。1/":                    "xn--",
		"https://example.com/" + longPath(2029): "longer than 2048",
		"http://localhost/":                     "private",
		"http://LOCALHOST:8080/":                "private",
		"http://localhost./":                    "private",
		"http://api.localhost/":                 "private",
		"http://127.0.0.1/":                     "private",
		"http://127.0.0.1./":                    "private",
		"http://0.0.0.0/":                       "private",
		"http://10.1.2.3/":                      "private",
		"http://169.254.169.254/latest/meta":    "private",
		"http://[::1]/":                         "private",
		"http://[::]/":                          "private",
		"http://[::ffff:10.0.0.1]/":             "private",
		"http://[::ffff:7f00:1]/":               "private",
		"http://[64:ff9b::7f00:1]/":             "private",
		"http://[fe80::1%25eth0]/":              "private",
		"http://[fd00::1]/":                     "private",
		"http://0x7f000001/":                    "four decimal numbers",
		"http://0X7F000001/":                    "four decimal numbers",
		"http://2130706433/":                    "four decimal numbers",
		"http://127.1/":                         "four decimal numbers",
		"http://127.0.1/":                       "four decimal numbers",
		"http://0177.0.0.1/":                    "four decimal numbers",
		"http://0x7f.0.0.1/":                    "four decimal numbers",
		"http://10.0.0.0x1/":                    "four decimal numbers",
		"http://10.0.0.1.5/":                    "four decimal numbers",
		"http://1.2.3.256/":                     "four decimal numbers",
		"http://example.com.0x/":                "four decimal numbers",
		"http://.example.com/":                  "empty part",
		"http://127..0.1/":                      "empty part",
		"http://./":                             "empty part",
		"http://256/":                           "four decimal numbers",
		"http://example.com../":                 "empty part",
	} {
		err := webhook.Guard{}.CheckURL("callback_url", raw)
		var fault *batch.Error
		if !errors.As(err, &fault) {
			t.Errorf("%q: got %v, want a fault of the user", raw, err)
			continue
		}
		if fault.Class != batch.Invalid || fault.Param != "callback_url" || !strings.Contains(fault.Message, why) ||
			!strings.Contains(fault.Message, "'callback_url'") {
			t.Errorf("%q: got %+v, want a message with %q", raw, fault, why)
		}
	}
}

func longPath(n int) string { return strings.Repeat("x", n) }

func TestAllowedPrivateHostsAreTaken(t *testing.T) {
	t.Parallel()
	for raw, allow := range map[string]string{
		"http://10.1.2.3:9000/hook": "10.0.0.0/8", "http://[fd00::1]/": "fd00::/8", "http://localhost:9000/": "127.0.0.0/8",
		"http://hooks.localhost/": "::1/128", "http://[::ffff:10.0.0.1]/": "10.0.0.0/8",
	} {
		if err := guard(allow).CheckURL("url", raw); err != nil {
			t.Errorf("%s with %s allowed: %v", raw, allow, err)
		}
		if err := (webhook.Guard{}).CheckURL("url", raw); err == nil {
			t.Errorf("%s was taken although nothing allows it", raw)
		}
	}
}

// Whatever is taken is an http URL, and if its host is an address, it is one that may be called.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/hook", "http://127.0.0.1/", "http://0x7f000001", "http://[::ffff:10.0.0.1%25x]:80/", "http://127.1.",
		"https://a@b/#", "http://%31%32%37.0.0.1/", "http://[64:ff9b::a00:1]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if (webhook.Guard{}).CheckURL("url", raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			t.Fatalf("%q was taken: %v", raw, err)
		}
		if a, err := netip.ParseAddr(strings.TrimSuffix(u.Hostname(), ".")); err == nil && (webhook.Guard{}).Check(a) != nil {
			t.Fatalf("%q was taken, and leads to %s", raw, a)
		}
	})
}
