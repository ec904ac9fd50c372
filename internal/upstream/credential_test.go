package upstream

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestCredentialIsReadAgainAfterItsLifeOrARefusal(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	key, fault := "a", error(nil)
	reads := 0
	c, err := newCredential(func() (string, error) { reads++; return key, fault }, nil, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want string, wantErr error, wantReads int) {
		t.Helper()
		got, err := c.value()
		if !slices.Equal(got, []string{want}) || !errors.Is(err, wantErr) || reads != wantReads {
			t.Errorf("got %q, %v after %d reads; want %q, %v, %d", got, err, reads, want, wantErr, wantReads)
		}
	}
	expect("Bearer a", nil, 1)
	key = "b"
	expect("Bearer a", nil, 1)
	c.refuse()
	expect("Bearer a", nil, 1) // once a second at most, however many calls are refused
	now = now.Add(refusedKeyTTL)
	expect("Bearer b", nil, 2)
	key, now = "c", now.Add(refusedKeyTTL)
	expect("Bearer b", nil, 2)
	now = now.Add(keyTTL - refusedKeyTTL)
	expect("Bearer c", nil, 3)

	gone := errors.New("gone")
	fault, now = gone, now.Add(keyTTL)
	expect("Bearer c", gone, 4)
	expect("Bearer c", nil, 4) // said once, and tried again later
	fault, now = nil, now.Add(-time.Hour)
	key = "d"
	expect("Bearer d", nil, 5) // a clock set back does not keep an old key alive
}
