// Package border makes a process the border of its region: it ties the routes to
// the region's hubs (package route) and the connections to other regions (package
// gateway) together.
//
// # What crosses, and how
//
//	hub -> route -> broker -> region's port -> gateway connection       messages that leave
//	                                        -> GMSG to another gwd      if only that one reaches the region
//	gateway connection -> broker -> hub's route                         messages that arrive
//
// Messages of hubs go to regions only, messages of regions to hubs only: rows of the
// broker's table of classes. The glue here is:
//
//   - the way of mapped replies, _GR_.<cluster>.<server>.<reply>: to the hub with
//     that server hash, or to the region with that cluster hash; and which replies
//     are mapped on the way out, because the hub's interest in them is so fresh that it
//     may not have reached the other region (gateways 18.7).
//   - the policy: which subjects of which account may cross, each way.
//   - readiness: other regions are let in when the hubs' interest is known.
//   - the other gwds of the region: which regions they reach, with what interest.
//   - fences and the gentle stop, without losing or reordering what hubs have sent.
//   - single_owner mode, for clusters with reference servers in them: one gwd announces
//     remote interest to hubs, and replies are kept for hubs that do not know prefixes.
//
// The package imports route, gateway and what is below.
package border
