package extsort

// Runs returns how many runs a sorter has on disk.
func Runs(s *Sorter) int { return len(s.runs) }
