package app

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"batchd/internal/store"
)

// What a byte that changed on the disk has damaged is told before anybody downloads it.
func TestDamageIsFoundBeforeItIsDownloaded(t *testing.T) {
	t.Parallel()
	e := openBefore(t, func() {})
	b := storeBatch(t, e)
	ctx, stop := context.WithCancel(t.Context())
	ended, stopped := e.watch(b.ID), make(chan error, 1) // room for the one result
	go func() { stopped <- e.Run(ctx) }()
	<-ended
	stop()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if r := e.Ready(); len(e.Ready().Reasons) > 0 {
		t.Errorf("it says %v", r.Reasons)
	}
	b, err := e.storage.store.BatchByID(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	output, err := e.storage.store.File(t.Context(), b.Tenant, b.OutputFileID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	name := e.storage.dir.Path("blobs/objects/" + output.Content[0].Blob.Key + "@")
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	// A pass is due again: the last one was before there was anything.
	if err := e.storage.store.SaveScrub(t.Context(), store.ScrubState{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop = context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	go func() { stopped <- e.Run(ctx) }()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		if _, found := e.scrubber.Since(); found {
			break
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatal("nothing was found")
		}
	}
	if got := (executor{e}).Damaged(b); len(got) != 1 || got[0].FileID != b.OutputFileID || got[0].Problem != "damaged" {
		t.Errorf("the batch says %+v", got)
	}
	if r := e.Ready(); len(r.Reasons) != 1 || !strings.Contains(r.Reasons[0], "damaged") {
		t.Errorf("the node says %+v", r)
	}
	stop()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
