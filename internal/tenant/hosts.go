package tenant

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// shownHost is how many bytes of a host that is refused are repeated.
const shownHost = 100

// Open is the authenticator of a server without keys: every call is the default tenant's, whatever credential it carries.
// Clients that insist on sending a key can send any.
type Open struct {
	// Tenant is the UUID that all belongs to.
	Tenant string
	// Hosts are the names that the server answers to; nil for any, and for calls from any web page.
	Hosts *Hosts
	// Admin lets callers on the server's own machine do what an admin's key without content may. It is for servers that only
	// their own machine can reach: an address on a network that was opened for batches must not give away keys with them.
	Admin bool
}

// Authenticate returns the default tenant, who runs the server, and a key id of zeros. It refuses only what Hosts do.
func (o Open) Authenticate(r *http.Request) (Identity, error) {
	if o.Hosts != nil {
		if err := o.Hosts.check(r); err != nil {
			return Identity{}, err
		}
	}
	return Identity{
		Tenant: o.Tenant, TenantName: store.DefaultTenantName, KeyID: "key_" + strings.Repeat("0", 32), Operator: true,
		Admin: o.Admin && local(r),
	}, nil
}

// Hosts are the names that a server without keys answers to. Without keys a browser on the same machine or network
// could be made to call it by any page that is open in it: under a name of the page's own that is suddenly the server's
// address, or by a form that is posted across sites. The first shows in the Host header, the second in the headers by
// which browsers say where a call comes from; programs that are no browsers send none of these.
type Hosts struct {
	// listen is the host that the server listens on, and allowed are the names of the settings, all in lower case.
	listen  string
	allowed []string
}

// NewHosts returns the hosts of a server that listens at listen and has further names in its settings: hosts
// without a port, of which *.example.com stands for every name below example.com.
func NewHosts(listen string, allowed ...string) *Hosts {
	h := &Hosts{listen: strings.ToLower(hostname(listen))}
	for _, name := range allowed {
		h.allowed = append(h.allowed, strings.ToLower(name))
	}
	return h
}

// check refuses, with a *batch.Error, a request to a name that is not the server's or from a page of another site.
func (h *Hosts) check(r *http.Request) error {
	if !h.answersTo(hostname(r.Host)) {
		return &batch.Error{
			Class: batch.Misdirected, Code: "host_not_allowed",
			Message: fmt.Sprintf("This server asks for no key, so it does not answer to the host '%s'. %s", clip(r.Host), allowHostRemedy),
		}
	}
	if page, foreign := h.foreign(r); foreign {
		return &batch.Error{
			Class: batch.Forbidden, Code: "origin_not_allowed",
			Message: fmt.Sprintf("This server asks for no key, so it takes no calls from web pages of other sites%s. %s", page, allowHostRemedy),
		}
	}
	return nil
}

// allowHostRemedy says what the operator can do for a host that is refused.
const allowHostRemedy = "Its operator can list the host in the setting allowed_hosts, or create API keys."

// answersTo reports whether a host is the server's: the machine's own name for itself, an address, which no foreign
// name can be, the name that is listened on, or one of the settings.
func (h *Hosts) answersTo(host string) bool {
	host = strings.ToLower(host)
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "localhost" || host != "" && host == h.listen || h.lists(host)
}

// lists reports whether the settings name a host.
func (h *Hosts) lists(host string) bool {
	host = strings.ToLower(host)
	for _, name := range h.allowed {
		below, wild := strings.CutPrefix(name, "*.")
		if host == name || wild && strings.HasSuffix(host, "."+below) {
			return true
		}
	}
	return false
}

// foreign reports whether a browser says that the request was made by a page of another site, and says of which if that
// is known. A page may call the host that it came from, and the pages of listed hosts may call this one.
func (h *Hosts) foreign(r *http.Request) (page string, foreign bool) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return "", r.Header.Get("Sec-Fetch-Site") == "cross-site"
	}
	u, err := url.Parse(origin) // "null" has no host
	own := err == nil && u.Host != "" && (strings.EqualFold(u.Host, r.Host) || h.lists(u.Hostname()))
	return ", as of '" + clip(origin) + "'", !own
}

// local reports whether a call to a server on loopback was made on its machine, as far as that shows: by a name for the
// machine itself, with no page but the server's own behind it, and through no proxy that says so.
func local(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || !strings.EqualFold(u.Host, r.Host) {
			return false
		}
	}
	host := hostname(r.Host)
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// hostname returns a host without its port, and an IPv6 address without its brackets.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// clip returns what of a refused header is repeated in the answer.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > shownHost {
		return strings.ToValidUTF8(s[:shownHost], "") + "…"
	}
	return s
}
