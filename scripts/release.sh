#!/bin/sh
# Archives of the daemons for all platforms into dist/release, for make release: each
# with the binary, manual pages, completions, licences and a worked settings file; beside
# it a bill of materials; checksums of everything. What it writes depends on the commit
# and the Go release alone.
#
#   PLATFORMS="linux/amd64 darwin/arm64"   for what    (all that are released)
#   DAEMONS="leafd"                        which       (all that are released there)
#
# release.sh check: the proof. Two copies of the commit, in directories of different
# names, the second built with an empty cache, have to give the same checksums. It takes
# twice as long; PLATFORMS and DAEMONS make it shorter.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib/release.sh

PLATFORMS=${PLATFORMS:-linux/amd64 linux/arm64 linux/arm darwin/amd64 darwin/arm64 windows/amd64 freebsd/amd64}
DAEMONS=${DAEMONS:-hubd gwd leafd}
OUT=$DIST/release

# released DAEMON OS/ARCH: elsewhere the edge node and the commands of its binary are what is asked for.
released() {
	case $2 in
	windows/* | freebsd/*) [ "$1" = leafd ] ;;
	esac
}

# documents DAEMON DIR: what the binary can tell about itself, asked of one that runs here.
documents() {
	here=$($GO env GOHOSTOS)/$($GO env GOHOSTARCH)
	tool=$DIST/build/host/$1
	build "$1" "$here" "$tool"
	mkdir -p "$2/man/man8" "$2/completions"
	"$tool" docs man "$2/man/man8"
	"$tool" completion bash >"$2/completions/$1.bash"
	"$tool" completion zsh >"$2/completions/_$1"
	"$tool" completion fish >"$2/completions/$1.fish"
	"$tool" completion powershell >"$2/completions/$1.ps1"
}

# archive DAEMON OS/ARCH: one archive and its bill.
archive() {
	name=$1-$VERSION-$(platform_dir "$2")
	stage=$DIST/build/stage/$name
	exe=$1
	kind=tar.gz
	case $2 in windows/*)
		exe=$1.exe
		kind=zip
		;;
	esac
	mkdir -p "$stage/config"
	build "$1" "$2" "$stage/$exe"
	cp -R "$DIST/build/docs/$1/." "$stage/"
	cp LICENSE README.md CHANGELOG.md "$stage/"
	cp "configs/sfo/$1.yaml" "$stage/config/$1.yaml"
	case $2 in linux/*) # what install.sh looks for beside itself
		mkdir -p "$stage/systemd" "$stage/debian"
		cp scripts/install.sh "$stage/"
		cp "configs/systemd/$1.service" "$stage/systemd/"
		cp "configs/debian/$1.yaml" "configs/debian/$1.default" "$stage/debian/"
		;;
	esac
	pack notices -daemon "$1" -binary "$stage/$exe" -out "$stage/THIRD-PARTY-LICENSES.txt"
	pack sbom -daemon "$1" -binary "$stage/$exe" -out "$OUT/$name.cdx.json"
	pack archive -out "$OUT/$name.$kind" "$stage"
}

release() {
	if [ -n "$(git status --porcelain 2>/dev/null)" ]; then
		say "note: the working copy differs from commit $COMMIT; this release can't be repeated from it"
	fi
	rm -rf "$OUT" "$DIST/build/stage" "$DIST/build/docs"
	mkdir -p "$OUT"
	for daemon in $DAEMONS; do documents "$daemon" "$DIST/build/docs/$daemon"; done
	for platform in $PLATFORMS; do
		for daemon in $DAEMONS; do
			if released "$daemon" "$platform"; then archive "$daemon" "$platform"; fi
		done
	done
	(cd "$OUT" && sha256 *-* >SHA256SUMS)
	say "$OUT: $(wc -l <"$OUT/SHA256SUMS") files"
}

# copy DIR: the commit, without git: a release must not need it.
copy() {
	mkdir -p "$1"
	git archive --format=tar HEAD | tar -xf - -C "$1"
}

check() {
	work=$(mktemp -d "${TMPDIR:-/tmp}/banyan-release.XXXXXX")
	trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
	export VERSION COMMIT LDFLAGS PGO REVISION PLATFORMS DAEMONS
	export SOURCE_DATE_EPOCH="$CREATED"
	copy "$work/one"
	copy "$work/another/place"
	DIST=dist sh "$work/one/scripts/release.sh"
	DIST=dist GOCACHE="$work/cache" sh "$work/another/place/scripts/release.sh"
	if diff -r "$work/one/dist/release" "$work/another/place/dist/release"; then
		cat "$work/one/dist/release/SHA256SUMS"
		say "both builds are the same, byte for byte"
	else
		say "the builds differ"
		return 1
	fi
}

case ${1:-release} in
release) release ;;
check) check ;;
*)
	say "usage: release.sh [release|check]"
	exit 2
	;;
esac
