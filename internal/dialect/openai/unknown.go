package openai

import (
	"maps"
	"slices"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// createMembers are the members of a create call that every vendor's dialect reads. Which of them a strict one refuses is
// checked where they are read.
var createMembers = []string{
	"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after", "callback_url", idempotencyMember,
}

// meaningless are members that clients add for a proxy in front of the server, and that ask nothing of the server itself.
// docs/dialects.md says where each comes from.
var meaningless = []string{"custom_llm_provider"}

// checkKnown refuses what a create call has beside what is read of it: a parameter of another vendor that is dropped would
// run the batch otherwise than was asked. Null asks for nothing.
func (d *Dialect) checkKnown(m members) error {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !m.has(name) || slices.Contains(createMembers, name) || slices.Contains(meaningless, name) ||
			!d.strict && slices.Contains(d.variant.Members, name) {
			continue
		}
		if name == "model" || name == "replace" {
			return batch.Invalidf(name, "unknown_parameter",
				"Unknown parameter: '%s'. The model of a batch is the one that its lines name; nothing replaces it.", name)
		}
		return dialect.UnknownParameter(dialect.Clip(name, shownValue))
	}
	return nil
}
