package batch

import (
	"fmt"
	"time"
)

// Class groups user faults by what the user can do about them. Each dialect's API maps a class to one HTTP status.
type Class int

// The classes of user faults.
const (
	// Invalid: the request is wrong as it stands; Param names the place.
	Invalid Class = iota
	// Unauthenticated: no credential, or an unknown one.
	Unauthenticated
	// NotFound: no such object for this tenant.
	NotFound
	// Conflict: the object's state forbids the call.
	Conflict
	// TooLarge: the upload passes a size limit.
	TooLarge
	// StorageFull: the disk is nearly full; nothing is taken in until there is space.
	StorageFull
	// Unavailable: the server cannot take the call right now; the same call may pass later.
	Unavailable
	// RangeNotSatisfiable: the asked range lies outside the file.
	RangeNotSatisfiable
	// MethodNotAllowed: the route exists, the method does not.
	MethodNotAllowed
	// RateLimited: a limit of the tenant is reached; RetryAfter says when to come back, Limit what it is.
	RateLimited
	// Unreadable: the object is there, and its stored bytes cannot be read; only the server's operator can help.
	Unreadable
	// Gone: the object was there, and has expired.
	Gone
	// Forbidden: the server takes no such call from where it comes.
	Forbidden
	// Misdirected: the call is for a host that the server does not answer to.
	Misdirected
	// TooSlow: the request's body arrives more slowly than the server waits for.
	TooSlow
)

// Error is a fault that the user made or may be told about: everything in it is safe to show. Any other error
// is internal: the user sees a request id, the operator sees the chain.
type Error struct {
	Class Class
	// Code is a stable word for programs; "" where the dialects have none.
	Code string
	// Message says what is wrong and what to do, as a sentence.
	Message string
	// Param names the parameter at fault; "" for none.
	Param string
	// RetryAfter is how long to wait before the same call can pass; zero where nothing is known or waiting is no use.
	RetryAfter time.Duration
	// Limit is the tenant's limit that was reached; 0 for none. Remaining is what is left of it, less than was asked for.
	Limit, Remaining int64
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Invalidf returns an Invalid error about param.
func Invalidf(param, code, format string, args ...any) *Error {
	return &Error{Class: Invalid, Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}
