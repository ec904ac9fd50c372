package httpserver

// Spare is spare, for tests.
const Spare = spare
