// Package estate builds small worlds of real servers for end-to-end tests: regions of hubs and border nodes with roads of
// a chosen length between them, edge nodes, and reference servers.
//
// Every server lets the kernel choose its ports at its first start. When it comes back after a Kill it takes the ones that it
// had, because others know them. The gateway listener of a border node is reached over a road, a proxy that exists before the
// node does and may be made long, frozen or cut.
//
//	e := estate.New(t, bins)
//	regions := e.Regions(estate.RegionSpec{Name: "sfo"}, estate.RegionSpec{Name: "ams"})
//	nc := e.Connect(regions[0].Hubs[0])
//	regions[0].Borders[0].Kill()
//
// What a test started is gone when it ends; when it failed, the last lines of each server's log are printed.
//
// The package imports test/procs, test/delayproxy, pkg/certs and the official client, and no package of a daemon.
package estate
