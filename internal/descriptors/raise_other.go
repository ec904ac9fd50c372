//go:build !unix

package descriptors

// systemLimit is what such systems bear; they have no limit to read.
const systemLimit = 16_384

// Raise returns how many descriptors the process may have open. There is no limit to raise.
func Raise() (limit int, err error) { return systemLimit, nil }
