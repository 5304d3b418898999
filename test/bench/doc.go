// Command bench measures what a server that speaks the client protocol takes for a message, beside another one.
//
//	go run ./test/bench                               # ours beside the nats-server on PATH, the usual scenarios
//	go run ./test/bench --set curves                  # another set: checks, curves, accounts, brokers, gc
//	go run ./test/bench --scenarios '^1to1' --pairs 9 # some of them, more exactly
//	go run ./test/bench --a ./old/hubd --b ./new/hubd # two builds
//	go run ./test/bench --quick --json bench.json --markdown docs/BENCHMARKS.md
//
// What it promises:
//
//   - The load speaks the raw protocol over its own sockets: one thread waits for everything that arrives, publishers write
//     blocks of ready-made messages (flood) or single messages when they are due (paced).
//   - Every message carries its publisher, its sequence number and a content that follows from both. Each is checked on
//     arrival, subject, subscription and header included: one that is lost, doubled, out of order or mixed up loses the run and
//     the programme's exit code says so.
//   - The bytes under way are bounded per subscriber, so that nobody is cut off as a slow consumer.
//   - The server's CPU comes from the kernel's process clock in nanoseconds; for a path over several processes it is the sum.
//   - The sides are loaded in turn (A B, B A, A B, ...). The figure is the median of the ratios of the pairs with its range. A
//     single figure in microseconds depends on the hour; a ratio does not.
//   - Latency in paced runs counts from the moment a message was due, so that a stall of the server is not hidden by a
//     generator that waits for it.
//   - A pair during which other programs took more than a quarter of a core is measured again; what stays so is marked.
//
// The files, from the bottom: package dialect (bytes of each broker's protocol), stats (histogram, medians, ratios), payload
// (what is sent), check (whether what comes is right), conn and loop (sockets), pace (sending on time), session (connections
// under load); then one file for each kind of load: deliver, reqrep, churn, idle, isolate, tenants, series; scenarios, checks,
// curves, collector and brokers are the tables of what is run, set by set. servers and brokers start the sides, profiles
// fetches their profiles, run measures, report and document tell, package plot draws.
//
// It imports test/procs and nothing else of this module, so that it measures from outside.
package main
