#!/bin/sh
# OCI images of the daemons into dist/images, for make images. Needs Go; no container
# engine, no root. What it writes depends on the commit and the Go release alone.
#
#   IMAGES="hubd leafd"               which                    (all three)
#   IMAGE_PLATFORMS="linux/amd64"     for what                 (linux/amd64 linux/arm64)
#   REPOSITORY=registry.example.net/mq   what engines call them, before /hubd:VERSION   (banyanmq)
#
# images.sh rootfs DAEMON OS/ARCH DIR: the files of one image into a directory, for the
# Dockerfile. What the daemons' user owns stands in DIR/owned, the rest in DIR/root.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib/release.sh

if [ "${1:-}" = rootfs ]; then
	binary=$DIST/build/rootfs/$2
	build "$2" "$3" "$binary"
	pack rootfs -daemon "$2" -binary "$binary" -licence LICENSE -out "$4/root"
	mkdir "$4/owned"
	mv "$4/root/data" "$4/root/tmp" "$4/owned/"
	exit
fi

IMAGES=${IMAGES:-hubd gwd leafd}
IMAGE_PLATFORMS=${IMAGE_PLATFORMS:-linux/amd64 linux/arm64}
OUT=$DIST/images
BUILDS=$DIST/build/images

rm -rf "$OUT" "$BUILDS"
mkdir -p "$OUT"
for platform in $IMAGE_PLATFORMS; do
	for daemon in $IMAGES; do
		build "$daemon" "$platform" "$BUILDS/$(echo "$platform" | tr / -)/$daemon"
	done
done
# shellcheck disable=SC2086 # a list of names
pack images -builds "$BUILDS" -licence LICENSE -out "$OUT" -repository "${REPOSITORY:-banyanmq}" $IMAGES >"$OUT/DIGESTS"
(cd "$OUT" && sha256 *.tar *.cdx.json >SHA256SUMS)
cat "$OUT/DIGESTS"
