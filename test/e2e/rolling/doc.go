// Package rolling measures what applications notice of an upgrade: two regions of hubs, border nodes and edges under load,
// whose servers are restarted one by one with another version by scripts/rolling-upgrade.sh, gently or not.
//
// Two kinds of applications run side by side. Those of the one use the official client with its default settings and know
// nothing of upgrades; those of the other follow the advice of docs/UPGRADES.md ([Mover]). Each kind has services of its own.
//
// The package imports test/e2e/estate, test/procs and the official client.
package rolling
