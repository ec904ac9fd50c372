package dispatchbench

import (
	"fmt"
	"time"

	"batchd/internal/sim/batching"
)

func seatBound() scenario {
	return scenario{
		name: "a-seats", title: "A: seats",
		what:   "A replica of 256 sequences with short chats; it queues for ever and refuses nothing.",
		engine: reference(nil), seats: 256, mix: batching.Chat(),
		bars: map[kind]bars{
			auto:    {share: 96, soon: true, inFlight: 1.3},
			metrics: {share: 99, soon: true, inFlight: 1.3},
		},
	}
}

func memoryBound() scenario {
	return scenario{
		name: "b-memory", title: "B: memory",
		what:   "The same replica with long documents, whose KV memory is full before its sequences are.",
		engine: reference(nil), mix: batching.Documents(),
		bars: map[kind]bars{
			auto:    {share: 92, soon: true, inFlight: 1.3},
			metrics: {share: 98, soon: true, inFlight: 1.3},
		},
	}
}

func gateway() scenario {
	return scenario{
		name: "c-gateway", title: "C: a gateway that refuses",
		what:   "The replica of A behind a gateway that answers 429 when 32 calls wait.",
		engine: reference(func(o *batching.Options) { o.Queue = 32 }), seats: 256, mix: batching.Chat(), bounded: true,
		bars: map[kind]bars{auto: {share: 96, refused: 5.5}, metrics: {share: 96, refused: 5.5}},
	}
}

func moreRoom() scenario {
	const change = 10 * time.Minute
	levels := []batching.Level{{At: change, Factor: 4}}
	return scenario{
		name: "c-more-room", title: "C: the room grows",
		what:   "48 seats with calls of 5 s and 429 when 32 wait; after 10 minutes there are 192 seats, and the way to 80% begins. Measured after 13 minutes.",
		engine: seats(batching.SeatOptions{Seats: 48, Queue: 32, Room: levels}), seats: 192, mix: calls(5), bounded: true,
		whole: 25 * time.Minute, settled: 13 * time.Minute, change: change,
		bars: map[kind]bars{
			auto:    {share: 96, refused: 5.5, within: 3 * time.Minute},
			metrics: {share: 96, refused: 5.5, within: 3 * time.Minute},
		},
	}
}

func sharedEngine() scenario {
	return scenario{
		name: "d-shared", title: "D: shared with people",
		what:   "The replica of A with 6 interactive requests a second besides, three times as many in 20 s of every 2 minutes.",
		engine: reference(nil), seats: 256, mix: batching.Chat(), online: true,
		bars: map[kind]bars{metrics: {share: 95, firstToken: 1500 * time.Millisecond}},
	}
}

func priorities() scenario {
	low := batching.Chat()
	low.Priority = 100
	return scenario{
		name: "e-priority", title: "E: shared, with priorities",
		what:   "D, but the engine takes interactive requests out of its queue first (vLLM's `--scheduling-policy priority`).",
		engine: reference(func(o *batching.Options) { o.ByPriority = true }), seats: 256, mix: low, online: true,
	}
}

func third() scenario {
	levels := []batching.Level{{At: 10 * time.Minute, Factor: 1.0 / 3}, {At: 15 * time.Minute, Factor: 1}}
	return scenario{
		name: "f-third", title: "F: a third of the room",
		what:   "The replica of A, which has room for a third as much from the 10th to the 15th minute; the way to 80% begins after that.",
		engine: reference(func(o *batching.Options) { o.Room = levels }), seats: 256, mix: batching.Chat(), change: levels[1].At,
		bars: map[kind]bars{
			auto:    {share: 92, soon: true, inFlight: 1.3},
			metrics: {share: 97, soon: true, inFlight: 1.3},
		},
	}
}

func strangers() scenario {
	return scenario{
		name: "g-strangers", title: "Two strangers",
		what:   "The replica of A and two clients that know nothing of each other, each with a limiter of its own.",
		engine: reference(nil), seats: 256, mix: batching.Chat(), come: []time.Duration{0, 0},
		bars: map[kind]bars{auto: {inFlight: 3.5, smaller: 15}, metrics: {inFlight: 3.5, smaller: 40}},
	}
}

func lateStranger() scenario {
	s := strangers()
	s.name, s.title = "g-late-stranger", "A stranger comes late"
	s.what = "Two strangers of whom the second comes 5 minutes after the first."
	s.come = []time.Duration{0, 5 * time.Minute}
	return s
}

func boundedSeats(n, queue int) scenario {
	return scenario{
		name: fmt.Sprintf("h-%d-%d", n, queue), title: fmt.Sprintf("%d seats + %d", n, queue),
		what:   fmt.Sprintf("%d seats with calls of 1 s; %d more may wait, the next is refused. Measured after the first minute.", n, queue),
		engine: seats(batching.SeatOptions{Seats: n, Queue: queue}), seats: n, mix: calls(1), bounded: true,
		whole: 10 * time.Minute, settled: time.Minute,
		bars: map[kind]bars{auto: {share: 93, refused: 20}, metrics: {share: 93, refused: 20}},
	}
}
