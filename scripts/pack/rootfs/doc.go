// Package rootfs says which files stand in the container image of each daemon, and
// writes them as layers (tar) or into a directory.
//
// Nothing depends on the machine, the clock or the user who runs it: authorities come
// from a pinned module, time zones from the Go release, every file has the same
// time. The same files give the same bytes.
//
// An image has three layers, so that those who run all three daemons, or move from one
// version to the next, load what did not change once:
//
//	base      authorities, time zones, users, /data and /tmp: the same for all
//	settings  the settings of a start without arguments
//	program   the binary, its links, its licences
package rootfs
