package tenant

import (
	"sync"
	"time"
)

// Buckets hold tenants to their limits of requests per minute. A tenant has a bucket that holds one minute's requests
// and refills steadily. The zero value is ready, and may be used concurrently.
//
// All that is kept of a bucket is when it will be full again if nothing is taken: a request moves that time by its
// share of a minute, and may move it one minute ahead at most. So a new limit counts from the next request, with the
// same part of the bucket used as before, and a bucket that is full needs no memory.
type Buckets struct {
	// mu guards all fields below. Nothing else is locked while it is held.
	mu sync.Mutex
	// full says when each tenant's bucket is full again.
	full map[string]time.Time
	// gcThreshold is how many buckets there may be before the full ones are dropped.
	gcThreshold int
}

// minGCThreshold is a number of buckets that is not worth looking through.
const minGCThreshold = 128

// Take counts a request of who's tenant at now, and says where the tenant stands after it. One that does not pass
// takes nothing.
func (b *Buckets) Take(who Identity, now time.Time) Rate {
	limit := who.Limits.RequestsPerMinute
	if limit <= 0 {
		return Rate{}
	}
	share := max(time.Minute/time.Duration(limit), 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	// Within bounds also where the clock was set back.
	used := min(max(b.full[who.Tenant].Sub(now), 0), time.Minute)
	rate := Rate{Limit: limit}
	if wait := used + share - time.Minute; wait > 0 {
		rate.Wait = wait
	} else {
		used += share
		if b.full == nil {
			b.full, b.gcThreshold = make(map[string]time.Time), minGCThreshold
		}
		// Full buckets are dropped each time the number of buckets has doubled. So at most twice as many are kept as there were
		// tenants within one minute, and the cost per request is constant on average.
		if _, ok := b.full[who.Tenant]; !ok && len(b.full) >= b.gcThreshold {
			for other, at := range b.full {
				if !at.After(now) {
					delete(b.full, other)
				}
			}
			b.gcThreshold = max(minGCThreshold, 2*len(b.full))
		}
		b.full[who.Tenant] = now.Add(used)
	}
	rate.Remaining = min(int64((time.Minute-used)/share), limit)
	rate.Reset = used
	return rate
}
