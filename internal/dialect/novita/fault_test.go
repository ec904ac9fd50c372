package novita_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"batchd/internal/batch"
	"batchd/internal/dialect/novita"
)

func TestOnlyAWrongKeyHasAStatusOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, d := range dialects() {
		wrong := &batch.Error{Class: batch.Unauthenticated, Code: "invalid_api_key"}
		if got := d.Status(wrong); got != 403 {
			t.Errorf("%s: a wrong key is %d", name, got)
		}
		for class := batch.Invalid; class <= batch.Gone; class++ {
			if got := d.Status(&batch.Error{Class: class, Code: "missing_api_key"}); got != 0 {
				t.Errorf("%s: class %d is %d, want the server's own status", name, class, got)
			}
		}
	}
}

func TestUnknownObjectsAndExpiredFilesLookAlike(t *testing.T) {
	t.Parallel()
	d := novita.New(novita.Options{})
	for name, tc := range map[string]struct {
		got  *batch.Error
		code string
	}{
		"batch":        {d.NotFound("batch", "batch_1"), "batch_not_found"},
		"file":         {d.NotFound("file", "file_1"), "file_not_found"},
		"expired file": {d.FileExpired("file_1"), "file_not_found"},
	} {
		if e := tc.got; e.Class != batch.NotFound || e.Code != tc.code || e.Param != "id" {
			t.Errorf("%s: fault %+v", name, e)
		}
	}
	if *d.NotFound("file", "file_1") != *d.FileExpired("file_1") {
		t.Error("an expired file can be told from one that never was")
	}
}

func TestUnknownIDsAreRepeatedOnlyInPart(t *testing.T) {
	t.Parallel()
	d := novita.New(novita.Options{})
	for _, id := range []string{strings.Repeat("x", 64<<10), strings.Repeat("😀", 65), strings.Repeat("\xff", 999)} {
		for _, kind := range []string{"batch", "file"} {
			message := d.NotFound(kind, id).Message
			if !strings.HasSuffix(message, "…") || utf8.RuneCountInString(message) > 90 {
				t.Errorf("message %q", message)
			}
		}
	}
	whole := strings.Repeat("x", 64)
	if got := d.NotFound("file", whole).Message; !strings.HasSuffix(got, " "+whole) {
		t.Errorf("message %q", got)
	}
}

func TestCancellingAnEndedBatchIsABadRequest(t *testing.T) {
	t.Parallel()
	d := novita.New(novita.Options{})
	late := running()
	late.Stop = batch.StopExpire
	for word, b := range map[string]batch.Batch{
		"COMPLETED": completed(), "FAILED": failed(), "EXPIRED": expired(), "CANCELLED": cancelled(),
	} {
		e := d.CannotCancel(b)
		if e.Class != batch.Invalid || e.Message != "Cannot cancel a batch with status '"+word+"'." {
			t.Errorf("%s: fault %+v", b.Status, e)
		}
	}
	if got := d.CannotCancel(late).Message; !strings.Contains(got, "'EXPIRED'") {
		t.Errorf("a batch whose window is over: %q", got)
	}
}

func TestErrorsStayJSONWhateverIsInThem(t *testing.T) {
	t.Parallel()
	for name, d := range dialects() {
		got := d.Error(&batch.Error{Message: "a\xff\"\n\u2028", Param: "\xff", Code: "\x00"}, 400)
		if text := textOf(t, got, "message"); text != "a\ufffd\"\n\u2028" {
			t.Errorf("%s: message %q in %s", name, text, got)
		}
	}
}
