package plan

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"batchd/internal/batch"
)

const (
	// maxFaults is how many faults are described; all are counted.
	maxFaults = 100
	// maxFaultText is the longest message or parameter kept. A fault may quote the line, and lines may be huge.
	maxFaultText = 2048
	// fileFault is the line of a fault that is the whole file's.
	fileFault = 0
)

// fault is one thing wrong with the file.
type fault struct {
	batch.LineError
	// again is set while the fault is a custom_id that stood in the file before and is not yet described.
	again *repetition
}

// faultList keeps the faults of the lowest lines and counts all. It is small enough that a sorted slice is the
// fastest heap.
type faultList struct {
	lowest []fault
	total  int64
}

// add counts a fault and, if its line is among the lowest, keeps what describe returns.
func (l *faultList) add(line int64, describe func() batch.LineError) {
	if l.count(line) {
		e := describe()
		e.Line = line
		e.Message, e.Param = clip(e.Message, maxFaultText), clip(e.Param, maxFaultText)
		l.insert(fault{LineError: e})
	}
}

// count counts a fault and reports whether its line is among the lowest.
func (l *faultList) count(line int64) bool {
	l.total++
	return len(l.lowest) < maxFaults || line < l.lowest[maxFaults-1].Line
}

// insert puts f behind the faults of lines up to its own and drops the highest if that is one too many.
func (l *faultList) insert(f fault) {
	i, _ := slices.BinarySearchFunc(l.lowest, f.Line+1, func(other fault, line int64) int {
		return cmp.Compare(other.Line, line)
	})
	if len(l.lowest) == maxFaults {
		l.lowest = l.lowest[:maxFaults-1]
	}
	l.lowest = slices.Insert(l.lowest, i, f)
}

// clip returns s, cut to at most n bytes at the border of a rune, with an ellipsis if something was cut.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const ellipsis = "…"
	n -= len(ellipsis)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + ellipsis
}
