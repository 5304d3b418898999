// Deb packs the three daemons for Debian and what descends from it: one .deb for
// each daemon and architecture, from binaries that were built before.
//
// It needs neither dpkg nor a Debian machine nor root: a .deb is an ar archive of two
// tar archives. What is inside is decided in contents.go and comes from configs/.
// The same input makes the same bytes: files are sorted, belong to root and
// have the time that -epoch gives.
//
//	go run ./scripts/deb -bin dist/deb/bin -version 0.1.0 -epoch 1700000000 -out dist/deb
//
// -bin holds ARCH/DAEMON in Debian's names of architectures, each with ARCH/DAEMON.licences,
// the texts of what it is linked with; -native names a directory with binaries that run
// here and write the manual pages and completions. scripts/deb.sh makes all of that.
package main
