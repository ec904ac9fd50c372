package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// ErrRefused means that an address is not on the public internet and nothing allows it.
var ErrRefused = errors.New("not a public address")

// Guard decides which addresses may be called. The zero value lets only public ones through. It may be used
// concurrently.
type Guard struct{ allow []netip.Prefix }

// NewGuard returns a guard that lets these ranges through besides the public addresses. The caller must not change
// them any more.
func NewGuard(allow []netip.Prefix) Guard { return Guard{allow: allow} }

// Check returns nil for an address that may be called, and an error that names it and wraps ErrRefused otherwise.
func (g Guard) Check(a netip.Addr) error {
	a = a.WithZone("").Unmap()
	if g.allows(a) || public(a) {
		return nil
	}
	if inner, ok := translated(a); ok && (g.allows(inner) || public(inner)) {
		return nil
	}
	return fmt.Errorf("%s is %w", a, ErrRefused)
}

func (g Guard) allows(a netip.Addr) bool {
	return slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(a) })
}

// public reports whether an address is reachable from all of the internet. For IPv6 that is what is given out for it,
// 2000::/3, less what is set apart in there: so whatever is not known to be public is not.
func public(a netip.Addr) bool {
	special := specialV4
	if a.Is6() {
		special = specialV6
		if !globalUnicast.Contains(a) {
			return false
		}
	}
	return a.IsValid() && !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// translated returns the IPv4 address that a NAT64 address stands for. A network that has only IPv6 reaches all IPv4
// receivers by such addresses, so they are judged by what is inside, where a private address would hide.
func translated(a netip.Addr) (netip.Addr, bool) {
	if !nat64.Contains(a) {
		return netip.Addr{}, false
	}
	b := a.As16()
	return netip.AddrFrom4([4]byte(b[12:])), true
}

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96")
)

// specialV4 are IANA's special-purpose ranges of IPv4 that are not reachable from everywhere.
var specialV4 = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network, and the unspecified address
	netip.MustParsePrefix("10.0.0.0/8"),      // private
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT
	netip.MustParsePrefix("127.0.0.0/8"),     // loopback
	netip.MustParsePrefix("169.254.0.0/16"),  // link-local, and the clouds' metadata services
	netip.MustParsePrefix("172.16.0.0/12"),   // private
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),  // private
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("224.0.0.0/4"),     // multicast
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
}

// specialV6 are the ranges within 2000::/3 that are not reachable from everywhere, or that carry an IPv4 address
// inside which would have to be judged too.
var specialV6 = []netip.Prefix{
	netip.MustParsePrefix("2001::/23"),     // protocol assignments: Teredo, benchmarks, ORCHID
	netip.MustParsePrefix("2001:db8::/32"), // documentation
	netip.MustParsePrefix("2002::/16"),     // 6to4
	netip.MustParsePrefix("3fff::/20"),     // documentation
}
