package httpapi_test

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
)

// object decodes a JSON object.
func object(t testing.TB, body string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("decode %q: %v", body, err)
	}
	return m
}

// as returns v as a T, and fails the test if it is something else.
func as[T any](t testing.TB, v any) T {
	t.Helper()
	got, ok := v.(T)
	if !ok {
		t.Fatalf("got a %T: %v", v, v)
	}
	return got
}

// field returns a string member of a JSON object, "" if it is null.
func field(t testing.TB, body, name string) string {
	t.Helper()
	s, _ := object(t, body)[name].(string)
	return s
}

// ids returns the ids of a list.
func ids(t testing.TB, body string) []string {
	t.Helper()
	var list struct{ Data []struct{ ID string } }
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatalf("decode %q: %v", body, err)
	}
	var out []string
	for _, item := range list.Data {
		out = append(out, item.ID)
	}
	return out
}

// fault is the error of an answer.
type fault struct {
	Status               int
	Message, Type, Param string
	Code                 string
}

func faultOf(t testing.TB, w *httptest.ResponseRecorder) fault {
	t.Helper()
	var envelope struct{ Error *fault }
	if err := json.Unmarshal(w.Body.Bytes(), &envelope); err != nil || envelope.Error == nil {
		t.Fatalf("no error in %q: %v", w.Body, err)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("error has content type %q", got)
	}
	envelope.Error.Status = w.Code
	return *envelope.Error
}
