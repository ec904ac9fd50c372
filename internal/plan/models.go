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

// find returns the ordinal of a model that is in the table.
func (t *modelTable) find(model []byte) (uint32, bool) {
	if len(t.names) > 0 && string(model) == t.names[t.last] {
		return t.last, true
	}
	i, ok := t.ordinal[string(model)]
	if ok {
		t.last = i
	}
	return i, ok
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

// modelCheck says whether a line may name its model.
type modelCheck int

const (
	modelGood modelCheck = iota
	modelUnknown
	modelMismatched
	// modelUnlisted means that the table is full: the file's fault, not the line's.
	modelUnlisted
)

// resolve returns the ordinal of a line's model, which means nothing unless the check is modelGood.
func (p *pass) resolve(model []byte) (uint32, modelCheck) {
	if len(model) > maxModelBytes {
		return 0, modelUnknown
	}
	ordinal, ok := p.models.find(model)
	switch {
	case ok:
	case len(p.models.names) > 0 && !p.in.MixedModels:
		return 0, modelMismatched
	case len(p.models.names) == maxModels:
		return 0, modelUnlisted
	default:
		ordinal = p.models.add(model, p.in.KnownModel == nil || p.in.KnownModel(string(model)))
	}
	if !p.models.known[ordinal] {
		return 0, modelUnknown
	}
	return ordinal, modelGood
}

// recordModel records what is wrong with a line's model and reports whether that is a fault of the line. A full
// table is recorded once.
func (p *pass) recordModel(line int64, model []byte, check modelCheck) bool {
	switch check {
	case modelGood:
		return false
	case modelUnlisted:
		if !p.models.full {
			p.models.full = true
			p.faults.add(fileFault, func() batch.LineError { return p.in.Dialect.TooManyModels(maxModels) })
		}
		return false
	case modelMismatched:
		p.faults.add(line, func() batch.LineError { return p.in.Dialect.MismatchedModel(string(model)) })
	case modelUnknown:
		p.faults.add(line, func() batch.LineError {
			return p.in.Dialect.ModelNotFound(clip(string(model[:min(len(model), maxModelBytes+1)]), maxModelBytes))
		})
	}
	return true
}
