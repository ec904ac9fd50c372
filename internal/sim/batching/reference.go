package batching

import "time"

// Reference is the replica that the scenarios of the project's scheduling research ran against: 6 ms a step, 0.03 ms a
// sequence, 0.02 ms a token of a prompt, 10 ns a token in memory; 256 sequences, 2048 tokens a step, room for 200,000
// tokens, a queue without limit. Fed with Chat requests it generates about 9,000 tokens a second.
func Reference() Options {
	return Options{
		Base:            6 * time.Millisecond,
		PerSequence:     30 * time.Microsecond,
		PerPrefillToken: 20 * time.Microsecond,
		PerKVToken:      10 * time.Nanosecond,
		MaxSequences:    256,
		StepTokens:      2048,
		KVTokens:        200_000,
		Queue:           -1,
	}
}
