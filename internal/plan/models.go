package plan

import "batchd/internal/batch"

const (
	// maxModels is how many different models one batch may name. The table stands in the batch's row.
	maxModels = 1000
	// maxModelBytes is the longest model name taken; no upstream knows a longer one, and the table must stay small.
	maxModelBytes = 1024
)

// modelTable numbers the models of a batch in order of appearance.
type modelTable struct {
	names   []string
	ordinal map[string]uint32
	// known[i] says that some upstream takes names[i].
	known []bool
	// last is the ordinal that was asked for last: most lines name the same model as the line before.
	last uint32
	full bool
}

// add puts a model that is not in the table at its end.
func (t *modelTable) add(model []byte, known bool) uint32 {
	if t.ordinal == nil {
		t.ordinal = make(map[string]uint32)
	}
	name := string(model)
	i := uint32(len(t.names))
	t.names, t.known = append(t.names, name), append(t.known, known)
	t.ordinal[name] = i
	t.last = i
	return i
}

// resolve returns the ordinal of a line's model if the line may name it. Else it records why not, and says whether that is a
// fault of the line: a table that is full is the file's, and is recorded once.
func (p *pass) resolve(line int64, model []byte) (ordinal uint32, good, faulty bool) {
	t := &p.models
	// Only a line that names another model than the one before costs a look into the map.
	ordinal, known := t.last, len(t.names) > 0 && string(model) == t.names[t.last]
	if !known {
		if ordinal, known = t.ordinal[string(model)]; known {
			t.last = ordinal
		}
	}
	switch {
	case len(model) > maxModelBytes:
	case known && t.known[ordinal]:
		return ordinal, true, false
	case known:
	case len(t.names) > 0 && !p.in.MixedModels:
		p.faults.add(line, func() batch.LineError { return p.in.Dialect.MismatchedModel(string(model)) })
		return 0, false, true
	case len(t.names) == maxModels:
		if !t.full {
			t.full = true
			p.faults.add(fileFault, func() batch.LineError { return p.in.Dialect.TooManyModels(maxModels) })
		}
		return 0, false, false
	default:
		ordinal = t.add(model, p.in.KnownModel == nil || p.in.KnownModel(string(model)))
		if t.known[ordinal] {
			return ordinal, true, false
		}
	}
	p.faults.add(line, func() batch.LineError {
		return p.in.Dialect.ModelNotFound(clip(string(model[:min(len(model), maxModelBytes+1)]), maxModelBytes))
	})
	return 0, false, true
}
