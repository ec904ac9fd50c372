package webhook

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"batchd/internal/batch"
)

// maxURL is the longest address of a receiver, in bytes.
const maxURL = 2048

// CodePrivate is the code of the fault that a private address is which nothing allows.
const CodePrivate = "private_address"

// CheckURL refuses, with a *batch.Error about param, an address that could never be called: one that is no plain http
// or https URL, or that names a private address which nothing allows. Both schemes are taken: a receiver inside a
// cluster rarely has a certificate, and an event holds nothing but a batch's id and is signed. Names are not looked
// up: what they resolve to can change, so that is judged at every call.
func (g Guard) CheckURL(param, raw string) error {
	if len(raw) > maxURL {
		return batch.Invalidf(param, "string_above_max_length", "Invalid '%s': the URL is longer than %d bytes.", param, maxURL)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https":
		return badURL(param, "expected a URL that begins with http:// or https://.")
	case u.Hostname() == "":
		return badURL(param, "the URL has no host.")
	case u.User != nil:
		return badURL(param, "the URL may not hold a user name or password.")
	case strings.Contains(raw, "#"):
		return badURL(param, "the URL may not hold a fragment.")
	case !validPort(u.Port()):
		return badURL(param, "the URL's port must be a number from 1 to 65535.")
	}
	return g.checkHost(param, u.Hostname())
}

// checkHost judges what can be judged without looking anything up.
func (g Guard) checkHost(param, host string) error {
	if strings.ContainsFunc(host, func(r rune) bool { return r > '~' || r <= ' ' }) {
		return badURL(param, "write a host name that is not ASCII in its xn-- form.")
	}
	host = strings.ToLower(strings.TrimSuffix(host, ".")) // the dot of a full name
	if slices.Contains(strings.Split(host, "."), "") && !strings.Contains(host, ":") {
		return badURL(param, "the URL's host has an empty part.")
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		if g.Check(netip.AddrFrom4([4]byte{127, 0, 0, 1})) != nil && g.Check(netip.IPv6Loopback()) != nil {
			return refusedHost(param)
		}
		return nil
	}
	a, err := netip.ParseAddr(host)
	switch {
	case err == nil && g.Check(a) != nil:
		return refusedHost(param)
	case err == nil:
		return nil
	case endsInNumber(host):
		return badURL(param, "write an IP address as four decimal numbers with dots between them.")
	}
	return nil
}

// endsInNumber reports whether the last part of a host is a number, decimal or hexadecimal. No name of the internet
// ends in one, but some resolvers read 0x7f000001, 2130706433, 127.1 and 0177.0.0.1 as an IPv4 address.
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if digits, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// validPort takes no port at all, too: then it is the scheme's.
func validPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

func badURL(param, why string) error {
	return batch.Invalidf(param, "invalid_value", "Invalid '%s': %s", param, why)
}

func refusedHost(param string) error {
	return batch.Invalidf(param, CodePrivate,
		"Invalid '%s': the URL leads to a private or reserved address, which this server does not call.", param)
}
