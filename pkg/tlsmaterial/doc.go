// Package tlsmaterial makes crypto/tls configurations from settings and keeps
// their material fresh: certificates, authorities and lists of pinned keys can be
// replaced while listeners and dialers use them.
//
// A [Material] belongs to one tls block. [Material.Server] is the configuration of
// a listener, made once; each handshake takes what is current when it begins.
// [Material.Client] is the configuration of one dial. Connections that are open
// keep what they were made with; [Material.Check] says whether a peer would still
// be let in, for who wants to end those that would not.
//
// Replacing is all or nothing: what can't be read, or does not fit together,
// leaves everything as it was. A [Keeper] watches the files of many materials and
// replaces what changed on disk:
//
//	k := tlsmaterial.NewKeeper(tlsmaterial.Options{Log: log})
//	m := k.Material("clients.tls", tlsmaterial.Settings{Pairs: pairs, CAFile: ca})
//	if err := k.Start(); err != nil { ... }
//	defer k.Close()
//	cfg, err := m.Server()
//
// It looks at the files every few seconds instead of waiting for notices of the
// file system: links are followed, so that Kubernetes' swap of a directory, a
// rename and a file system without notices all look the same.
//
// It stands on the ground floor and imports pkg/tlsmaterial/workload only.
package tlsmaterial
