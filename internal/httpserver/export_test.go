package httpserver

// The constants of these names, for tests.
const (
	Spare = spare
	Youth = youth
)
