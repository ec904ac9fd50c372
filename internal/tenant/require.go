package tenant

import (
	"errors"
	"net/http"

	"batchd/internal/batch"
)

// Require returns next for those only whom auth lets in. It answers the others in plain text.
func Require(auth Authenticator, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var refused *batch.Error
		switch _, err := auth.Authenticate(r); {
		case err == nil:
			next.ServeHTTP(w, r)
		case errors.As(err, &refused) && refused.Class == batch.Misdirected:
			http.Error(w, refused.Message, http.StatusMisdirectedRequest)
		case errors.As(err, &refused) && refused.Class == batch.Forbidden:
			http.Error(w, refused.Message, http.StatusForbidden)
		case errors.As(err, &refused):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, refused.Message, http.StatusUnauthorized)
		default:
			http.Error(w, "The key could not be checked. Try again.", http.StatusServiceUnavailable)
		}
	})
}
