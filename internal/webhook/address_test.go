package webhook_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"batchd/internal/webhook"
)

func TestOnlyPublicAddressesAreLetThrough(t *testing.T) {
	t.Parallel()
	for address, public := range map[string]bool{
		"8.8.8.8": true, "93.184.215.14": true, "172.15.255.255": true, "172.32.0.1": true, "100.63.255.255": true,
		"100.128.0.1": true, "192.0.1.1": true, "198.17.255.255": true, "223.255.255.255": true,
		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "127.0.0.1": false, "127.255.255.255": false,
		"169.254.169.254": false, "172.16.0.1": false, "172.31.255.255": false, "192.0.0.170": false, "192.0.2.1": false,
		"192.88.99.1": false, "192.168.0.1": false, "198.18.0.1": false, "198.19.255.255": false, "198.51.100.1": false,
		"203.0.113.1": false, "224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false,

		"2606:2800:21f:cb07:6820:80da:af6b:8b2c": true, "2a00:1450:4001:81b::200e": true, "2400:cb00::1": true,
		"::": false, "::1": false, "::127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:8.8.8.8": true,
		"::ffff:0:10.0.0.1": false, "100::1": false, "fc00::1": false, "fd12:3456::1": false, "fe80::1": false, "fe80::1%eth0": false,
		"fec0::1": false, "ff02::1": false, "2001::1": false, "2001:2::1": false, "2001:20::1": false, "2001:db8::1": false,
		"2002:0a00:0001::1": false, "2002:0808:0808::1": false, "3fff::1": false, "4000::1": false, "5f00::1": false,

		"64:ff9b::8.8.8.8": true, "64:ff9b::10.0.0.1": false, "64:ff9b::169.254.169.254": false, "64:ff9b:1::8.8.8.8": false,
	} {
		err := webhook.Guard{}.Check(netip.MustParseAddr(address))
		if public != (err == nil) {
			t.Errorf("%s: got %v, want public %v", address, err, public)
		}
		if err != nil && !errors.Is(err, webhook.ErrRefused) {
			t.Errorf("%s: %v does not wrap ErrRefused", address, err)
		}
	}
	if err := (webhook.Guard{}).Check(netip.Addr{}); err == nil {
		t.Error("no address at all was let through")
	}
}

func TestAllowedRangesAreLetThroughInEverySpelling(t *testing.T) {
	t.Parallel()
	g := guard("10.0.0.0/8", "fd00::/8")
	for address, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::10.1.2.3": true, "fd00::7": true, "8.8.8.8": true,
		"11.0.0.1": true, "192.168.0.1": false, "fc00::1": false, "127.0.0.1": false, "::1": false,
	} {
		if got := g.Check(netip.MustParseAddr(address)) == nil; got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
}

func TestARefusalNamesTheAddress(t *testing.T) {
	t.Parallel()
	err := webhook.Guard{}.Check(netip.MustParseAddr("::ffff:10.0.0.1"))
	if err == nil || !strings.Contains(err.Error(), "10.0.0.1 is not a public address") {
		t.Errorf("got %v", err)
	}
}

func guard(ranges ...string) webhook.Guard {
	var allow []netip.Prefix
	for _, r := range ranges {
		allow = append(allow, netip.MustParsePrefix(r))
	}
	return webhook.NewGuard(allow)
}
