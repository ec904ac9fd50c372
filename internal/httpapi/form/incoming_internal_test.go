package form

import (
	"sync"
	"testing"
)

// TestI14AThousandUploadsTakeNoMoreRoomThanOne has uploads take room piece by piece, each as if it were alone.
func TestI14AThousandUploadsTakeNoMoreRoomThanOne(t *testing.T) {
	t.Parallel()
	const left, piece = 100_000, 100
	var in incoming
	var uploads sync.WaitGroup
	var mu sync.Mutex
	var granted int64
	begun := make(chan struct{})
	uploading := make([]*allowance, 1000)
	for i := range uploading {
		uploading[i] = &allowance{incoming: &in, tenant: "ours", left: left}
		uploads.Go(func() {
			<-begun
			for uploading[i].take(piece) {
				mu.Lock()
				granted += piece
				mu.Unlock()
			}
		})
	}
	close(begun)
	uploads.Wait()
	if granted > left {
		t.Errorf("%d bytes were let in, %d are left", granted, left)
	}
	if other := (&allowance{incoming: &in, tenant: "theirs", left: left}); !other.take(left) {
		t.Error("one tenant's uploads take another's room")
	} else {
		other.release()
	}
	for _, a := range uploading {
		a.release()
		a.release() // an upload that ended twice gives back nothing that it has not
	}
	if len(in.bytes) != 0 {
		t.Errorf("counted although no upload is under way: %v", in.bytes)
	}
}
