// Package datadir is the data directory of one node: the lock that lets one process at a time execute batches from it,
// the names of what is in it, and whether anything shows that a database was there. It knows files and names only: no
// database is opened here, and nothing of what the files hold is read.
package datadir
