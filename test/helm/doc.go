// Package helm tests the chart in configs/helm: what it renders, what it refuses,
// and that what it describes works.
//
// It is a module of its own, so that nothing of Helm and Kubernetes is near the
// daemons. The daemons are built from the module above as any user builds them and
// run as processes; no package of theirs is imported.
//
//	cd test/helm && go test ./...
//	cd test/helm && go test -run TestGolden -update ./...     after a look at what changed
package helm
