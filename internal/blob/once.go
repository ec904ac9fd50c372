package blob

import "sync"

// maxReported bounds how many damaged blocks are distinguished.
const maxReported = 1000

// Once returns a function that passes on only the first report of each block, and none after the thousandth block: a
// block of an input holds a thousand lines, and each of them asks for it. It may be called concurrently.
func Once(report func(key string, block int64)) func(key string, block int64) {
	type place struct {
		key   string
		block int64
	}
	var mu sync.Mutex
	reported := make(map[place]bool)
	return func(key string, block int64) {
		mu.Lock()
		defer mu.Unlock()
		at := place{key, block}
		if reported[at] || len(reported) == maxReported {
			return
		}
		reported[at] = true
		report(key, block)
	}
}
