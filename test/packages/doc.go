// Package packages tests how Banyan gets onto plain machines: the systemd units in
// configs/systemd, the Debian packages that scripts/deb makes, scripts/install.sh.
//
// Packages are installed, upgraded and purged by the machine's own dpkg, in a throw-away
// root: a second copy of the test runs in namespaces of its own, on an overlay over
// the machine's file system whose changes are kept in memory and are gone with it. It
// needs root for that, and says so where it has to be left out. systemd does not run
// there: what it would do (start under the unit's user, listen to readiness, feed on
// watchdog pings, reload, stop) the test does by what stands in the unit file. What only
// systemd can do, the sandbox, is judged by systemd-analyze alone.
//
// It may import test/procs and, of the module, nothing else.
package packages
