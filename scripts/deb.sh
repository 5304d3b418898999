#!/bin/sh
# Debian packages of the daemons into dist/deb, for make deb: built for each architecture,
# packed by scripts/deb, which needs neither dpkg nor root. What it writes depends on
# the commit and the Go release alone.
#
#   DEBS="leafd/armhf hubd/amd64"   which   (all)
set -eu
cd "$(dirname "$0")/.."
. scripts/lib/release.sh

DEBS=${DEBS:-hubd/amd64 hubd/arm64 gwd/amd64 gwd/arm64 leafd/amd64 leafd/arm64 leafd/armhf}
OUT=$DIST/deb
bin=$DIST/build/deb

rm -rf "$bin" "$OUT"
mkdir -p "$OUT"
for deb in $DEBS; do
	daemon=${deb%/*}
	arch=${deb#*/}
	case $arch in
	armhf) platform=linux/arm ;;
	*) platform=linux/$arch ;;
	esac
	mkdir -p "$bin/$arch" "$bin/here"
	build "$daemon" "$platform" "$bin/$arch/$daemon"
	pack notices -daemon "$daemon" -binary "$bin/$arch/$daemon" -out "$bin/$arch/$daemon.licences"
	# What writes the manual pages has to run here.
	[ -e "$bin/here/$daemon" ] || build "$daemon" "$($GO env GOHOSTOS)/$($GO env GOHOSTARCH)" "$bin/here/$daemon"
done
$GO run ./scripts/deb -bin "$bin" -native "$bin/here" -version "$VERSION" -epoch "$CREATED" -out "$OUT"
(cd "$OUT" && sha256 *.deb >SHA256SUMS)
