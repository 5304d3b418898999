// Package image makes the OCI images of a daemon, without a container engine.
//
// There is one image for each platform, one index over them, and beside each image its
// bill of materials as an artifact that refers to it (OCI 1.1, "subject"). They are
// written as archives of OCI layouts: one with the whole index, and one for each
// platform that "docker load" of any version takes too.
//
// The same binaries, version, revision and time give the same digests.
package image
