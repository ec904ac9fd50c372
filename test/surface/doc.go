// Package surface compares what can be seen of batchd from outside with the lists under testdata: the settings, the
// environment variables, the flags, the metrics, the keys of log lines, the routes, the members of JSON, the names in a data
// directory and the tables of the database. Work on the inside must leave every line where it is; a line is added or taken
// away on purpose only, by `go test ./test/surface -update` and a look at the difference.
//
// Most lists are read off a node that runs, so they do not care which package makes what they hold. Only what a run cannot
// be made to show, like the key of a log line about a broken disk, is looked up in the source as well.
package surface
