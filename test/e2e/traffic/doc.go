// Package traffic sends numbered messages through real servers and keeps account of what arrived: what was lost and when it
// was sent, what came twice, what came out of order.
//
//	run := traffic.Start(ctx, traffic.Load{
//		Publishers: []*nats.Conn{a, b},
//		Receivers:  []traffic.Receiver{{Name: "sfo", Conns: []*nats.Conn{c}}},
//		Count:      100_000, Rate: 1000,
//	})
//	report, err := run.Wait()
//	report.Lost, report.Duplicates, report.Misordered
//
// Before the first message every path from a publisher to a receiver has carried a probe, and at the end every path has
// carried an end mark, so that nothing is counted as lost that was only late.
//
// The package imports the official client only.
package traffic
