// Package realmodel pushes a batch of real prompts through batchd to a real inference engine, llama.cpp with the
// small model of testdata/tiny-model, and judges the answers. The simulator agrees with whatever we believe about
// engines; this one has never heard of us.
package realmodel

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Prompt is a question whose right answer is known.
type Prompt struct {
	// Kind is the task: sentiment, ticket or capital.
	Kind string
	// Text is what the user asks.
	Text string
	// Answer is the one right answer, as the model was trained to give it.
	Answer string
}

// Prompts returns n questions in the vocabulary that the model was trained on (train.py), the three tasks in turn.
// Equal seeds give equal questions.
func Prompts(n int, seed uint64) []Prompt {
	r := rand.New(rand.NewPCG(seed, 0))
	tasks := []func(*rand.Rand) Prompt{sentiment, ticket, capital}
	prompts := make([]Prompt, n)
	for i := range prompts {
		prompts[i] = tasks[i%len(tasks)](r)
	}
	return prompts
}

func sentiment(r *rand.Rand) Prompt {
	label, word := "positive", pick(r, "great excellent wonderful lovely fantastic superb perfect amazing pleasant delightful brilliant good")
	if r.IntN(2) == 0 {
		label, word = "negative", pick(r, "awful terrible horrible broken rude disappointing poor dreadful slow dirty useless bad")
	}
	thing := pick(r, "food service room phone delivery hotel staff laptop coffee film book app battery screen support flight music printer camera chair")
	review := fmt.Sprintf(pickOf(r, "The %s was %s", "I found the %s really %s", "My %s is very %s"), thing, word)
	question := pickOf(r,
		"Classify the sentiment of this review: %s",
		"Sentiment of: %s",
		"Is this review positive or negative? %s")
	return Prompt{
		Kind:   "sentiment",
		Text:   fmt.Sprintf(question, review+pickOf(r, ".", "!", "")),
		Answer: fmt.Sprintf(`{"label": %q}`, label),
	}
}

func ticket(r *rand.Rand) Prompt {
	teams := []string{"billing", "delivery", "login", "technical"}
	complaints := [][]string{
		{"I was charged twice", "my invoice is wrong", "I want a refund", "the payment failed"},
		{"my parcel never arrived", "the package is late", "the courier lost my order", "where is my shipment"},
		{"I cannot sign in", "my password does not work", "my account is locked", "the reset link expired"},
		{"the app crashes on start", "the page shows an error", "the screen stays black", "the update does not install"},
	}
	team := r.IntN(len(teams))
	complaint := pickOf(r, "", "Hello, ", "Please help, ") + pickOf(r, complaints[team]...) + pickOf(r, ".", "!", "")
	question := pickOf(r, "Which team should handle this ticket? %s", "Route this ticket: %s", "Topic of this ticket: %s")
	return Prompt{
		Kind:   "ticket",
		Text:   fmt.Sprintf(question, complaint),
		Answer: fmt.Sprintf(`{"team": %q}`, teams[team]),
	}
}

func capital(r *rand.Rand) Prompt {
	country, city, _ := strings.Cut(pick(r, "France:Paris Germany:Berlin Italy:Rome Spain:Madrid Japan:Tokyo Poland:Warsaw "+
		"Portugal:Lisbon Greece:Athens Norway:Oslo Egypt:Cairo Kenya:Nairobi Peru:Lima Cuba:Havana Austria:Vienna "+
		"Finland:Helsinki Ireland:Dublin"), ":")
	return Prompt{
		Kind:   "capital",
		Text:   fmt.Sprintf(pickOf(r, "What is the capital of %s?", "Capital of %s?"), country),
		Answer: fmt.Sprintf("The capital of %s is %s.", country, city),
	}
}

// pick returns one of the space-separated words.
func pick(r *rand.Rand, words string) string { return pickOf(r, strings.Fields(words)...) }

func pickOf(r *rand.Rand, choices ...string) string { return choices[r.IntN(len(choices))] }
