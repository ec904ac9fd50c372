//go:build !failpoint || !unix

package failpoint

// Enabled reports whether this build obeys BATCHD_FAILPOINT.
const Enabled = false

// Hit does nothing in an ordinary build.
func Hit(Name) {}
