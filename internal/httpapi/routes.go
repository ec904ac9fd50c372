package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/tenant"
)

// Handler answers a call. An error that it returns is answered by the transport: a *batch.Error or a *store.QuotaError as the
// client's, in the dialect's words, anything else as the server's own. An error after part of the answer was sent cuts the
// connection.
type Handler func(*Call) error

// Route is one path below a mount's prefix with what each method does there. HEAD is answered like GET by every route
// that has GET.
type Route struct {
	// Path is a pattern of net/http without a method; the id that Call.ID returns is {id}.
	Path string
	// Open routes are for anybody; Call.Who is zero there.
	Open    bool
	Methods map[string]Handler
	// Admin routes are for admins only, in whichever tenant's name.
	Admin bool
	// ActFor are the methods by which any admin may act for another tenant: they show, change or end what there is, and
	// neither show nor bring what a file holds. The others take a key that was made for content, too.
	ActFor []string
	// Offered reports whether the call's dialect has the method there; nil means that all do. A route of which nothing is
	// offered is as good as none.
	Offered func(c *Call, method string) bool
}

// handler returns what answers the method in the dialects that have it, nil for nothing.
func (rt Route) handler(method string) Handler {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return rt.Methods[method]
}

// serves reports whether the route has the method for this call.
func (rt Route) serves(c *Call, method string) bool {
	return rt.handler(method) != nil && (rt.Offered == nil || rt.Offered(c, method))
}

// serve finds out who calls, counts the call, and answers it, or returns the error that it is answered with.
func (rt Route) serve(c *Call) error {
	handle := rt.handler(c.Request.Method)
	if handle == nil {
		return rt.notAllowed(c)
	}
	if !rt.Open {
		if c.server.Crowded(c.Context()) {
			return &batch.Error{
				Class:   batch.Unavailable,
				Message: "The server answers as many requests as it has connections for. Send the request again later.",
			}
		}
		who, err := c.server.Auth.Authenticate(c.Request)
		if err != nil {
			return err
		}
		// The key may choose another dialect than the one that the errors up to here are in.
		c.Who, c.Profile = who, c.mount.profileFor(c.Request, who)
		if err := checkRate(c.Header(), c.server.Node.Rate(who)); err != nil {
			return err
		}
	}
	if !rt.serves(c, c.Request.Method) {
		return rt.notAllowed(c)
	}
	if !rt.Open {
		if err := rt.act(c); err != nil {
			return err
		}
	}
	return handle(c)
}

// act makes the call that of the tenant which it names, or returns the error of one that may not be made. The limit of
// requests that counted it is that of the key's own tenant: nobody uses up another's.
func (rt Route) act(c *Call) error {
	if rt.Admin && !c.Who.Admin {
		return &batch.Error{
			Class: batch.Forbidden, Code: "admin_required",
			Message: "This is for operators: it takes an admin key, which 'batchd keys create --admin' makes where the server's data directory is.",
		}
	}
	who, err := c.Who.Act(c.Request, c.server.Tenants)
	if err != nil {
		return err
	}
	if c.Who = who; who.Acting || rt.Admin {
		c.reply.log(who, c.Request.Method, !rt.Admin && !rt.actsFor(c.Request.Method))
	}
	if who.Acting && !who.OpensContent && !rt.Admin && !rt.actsFor(c.Request.Method) {
		return &batch.Error{
			Class: batch.Forbidden, Code: "content_forbidden",
			Message: "The key may not read what other tenants' files hold, nor bring files or batches in their names. That takes an admin key made with 'batchd keys create --admin --content', or a key of the tenant.",
		}
	}
	return nil
}

// actsFor reports whether any admin may call the method for another tenant.
func (rt Route) actsFor(method string) bool {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return slices.Contains(rt.ActFor, method)
}

// checkRate sets in the answer's header h where the call's tenant stands with its requests per minute, and returns the error
// of a call over the limit.
func checkRate(h http.Header, rate tenant.Rate) error {
	if rate.Limit <= 0 {
		return nil
	}
	// The names and the form by which OpenAI's SDKs know how many requests they have left.
	h.Set("X-Ratelimit-Limit-Requests", strconv.FormatInt(rate.Limit, 10))
	h.Set("X-Ratelimit-Remaining-Requests", strconv.FormatInt(max(rate.Remaining, 0), 10))
	h.Set("X-Ratelimit-Reset-Requests", shortDuration(rate.Reset))
	if rate.Wait <= 0 {
		return nil
	}
	return &batch.Error{
		Class: batch.RateLimited, Code: codeRate, RetryAfter: rate.Wait, Limit: rate.Limit,
		Message: fmt.Sprintf("Rate limit reached: %s per minute. Try again in %s.", count(rate.Limit, "request", "requests"), inWords(rate.Wait)),
	}
}

// shortDuration writes d the way OpenAI does: "20ms", "1s", "6m0s", in whole milliseconds and never too short.
func shortDuration(d time.Duration) string {
	return max(roundUp(d, time.Millisecond), 0).String()
}

// notAllowed returns the error of a method that the route does not have for this call, or of a route without any.
func (rt Route) notAllowed(c *Call) error {
	var methods []string
	for m := range rt.Methods {
		if !rt.serves(c, m) {
			continue
		}
		methods = append(methods, m)
		if m == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	if len(methods) == 0 {
		return NoRoute()
	}
	slices.Sort(methods)
	c.Header().Set("Allow", strings.Join(methods, ", "))
	return &batch.Error{Class: batch.MethodNotAllowed, Message: "This path does not take " + Clip(c.Request.Method) + " requests."}
}

const noSuchRoute = "Unknown path. No such route exists on this server."

// NoRoute returns the error of a path that no route has.
func NoRoute() error {
	return &unknownPath{&batch.Error{Class: batch.NotFound, Message: noSuchRoute}}
}

// unknownPath is the fault of a path that no route has, apart from other things that are not found.
type unknownPath struct{ fault *batch.Error }

// Error returns the fault's message.
func (e *unknownPath) Error() string { return e.fault.Error() }

// Unwrap returns the fault.
func (e *unknownPath) Unwrap() error { return e.fault }

// Clip keeps what a client made up, like a method, from filling an error message.
func Clip(s string) string {
	const most = 20
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
