// Package check compares the rows of a data directory's database with the files beside it: what a row refers to must be
// there and whole, and what a file names must be known. A start does so by names and headers alone and refuses to go on
// where the database has lost time; Run reads everything. It changes nothing: to mend what it finds is repair's.
package check
