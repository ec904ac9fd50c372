package tenant

import (
	"errors"
	"net/http"

	"batchd/internal/batch"
)

// RequireOperator returns next for operators only, which with keys are admins. It answers the others in plain text.
func RequireOperator(auth Authenticator, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var refused *batch.Error
		switch who, err := auth.Authenticate(r); {
		case err == nil && who.Operator:
			next.ServeHTTP(w, r)
		case err == nil:
			http.Error(w, "This takes an admin key, which `batchd keys create --admin` makes.", http.StatusForbidden)
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
