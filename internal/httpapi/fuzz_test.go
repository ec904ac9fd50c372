package httpapi_test

import (
	"net/url"
	"strings"
	"testing"

	"batchd/internal/dialect/openai"
)

// FuzzMultipartUpload sends any bytes as a form: the answer is never the server's fault, and what was refused leaves
// nothing behind.
func FuzzMultipartUpload(f *testing.F) {
	good, contentType := form(part{"purpose", "", "batch"}, part{"file", "in.jsonl", goodLine})
	f.Add(good, contentType)
	f.Add(good[:len(good)/2], contentType)
	f.Add(good+good, contentType)
	f.Add(strings.ReplaceAll(good, "\r\n", "\n"), contentType)
	f.Add("--X\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''a%00b.jsonl\r\n\r\n{}\r\n--X\r\nContent-Disposition: form-data; name=purpose\r\n\r\nbatch\r\n--X--", "multipart/form-data; boundary=X")
	f.Add("", "multipart/form-data; boundary=")
	shared := newFixture(f, func(o *options) { o.Mounts[0].Dialect = openai.New(openai.Options{}) })
	f.Fuzz(func(t *testing.T, body, contentType string) {
		fix := shared.on(t)
		before := fix.objects.count()
		w := fix.do("POST", "/v1/files", body, "Content-Type", contentType)
		if w.Code != 200 {
			if got := faultOf(t, w); got.Status != 400 {
				t.Fatalf("fault %+v", got)
			}
			if n := fix.objects.count(); n != before {
				t.Fatalf("%d objects are left", n-before)
			}
			return
		}
		file := object(t, w.Body.String())
		if strings.ContainsAny(as[string](t, file["filename"]), "\x00\r\n/") {
			t.Fatalf("unsafe name %q", file["filename"])
		}
		content := fix.want(fix.do("GET", "/v1/files/"+as[string](t, file["id"])+"/content", ""), 200)
		if float64(len(content)) != file["bytes"] || !strings.Contains(body, content) {
			t.Fatalf("content %q of %q", content, body)
		}
	})
}

// FuzzCursor asks for the page after anything.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "batch_1", "../x", "\x00", "' OR 1=1", "batch_01010101010101010101010101010101"} {
		f.Add(seed, "3")
	}
	f.Add("x", "-1")
	shared := newFixture(f, nil)
	f.Fuzz(func(t *testing.T, after, limit string) {
		fix := shared.on(t)
		query := url.Values{"after": {after}, "limit": {limit}}.Encode()
		for _, list := range []string{"/v1/batches", "/v1/files"} {
			w := fix.do("GET", list+"?"+query, "")
			if w.Code != 200 && w.Code != 400 {
				t.Fatalf("%s after %q: %d %s", list, after, w.Code, w.Body)
			}
			if w.Code == 200 && after != "" {
				t.Fatalf("%s after %q of an empty store: %s", list, after, w.Body)
			}
		}
	})
}
