# What make images and make release share; sourced by scripts that set -eu and stand in
# the root of the tree. From make: GO, DIST, VERSION, COMMIT, LDFLAGS, PGO.

GO=${GO:-go}
DIST=${DIST:-dist}
case $DIST in /*) ;; *) DIST=$(pwd)/$DIST ;; esac
: "${VERSION:?run it by make, which sets the version}" "${LDFLAGS:?run it by make}"
export GO CGO_ENABLED=0

# The time of everything: that of the commit, unless given as for other builds that can be repeated.
CREATED=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
REVISION=${REVISION:-$(git rev-parse HEAD 2>/dev/null || echo "${COMMIT:-}")}

say() { echo "$@" >&2; }

# platform_dir linux/arm: the directory and the name of that platform; 32-bit ARM means ARMv7.
platform_dir() {
	case $1 in
	linux/arm) echo linux-armv7 ;;
	*) echo "$1" | tr / - ;;
	esac
}

# build DAEMON OS/ARCH FILE: the Makefile's flags, and nothing of the working copy in
# the binary but what it is given: revision and version stand in LDFLAGS.
build() {
	say "build $1 $2"
	GOOS=${2%/*} GOARCH=${2#*/} GOARM=7 GOAMD64=v1 GOARM64=v8.0 \
		$GO build -trimpath -buildvcs=false -pgo="${PGO:-off}" -ldflags "$LDFLAGS" -o "$3" "./cmd/$1"
}

# pack: the program that writes images, archives and bills, built once for this machine.
PACK=
pack() {
	if [ -z "$PACK" ]; then
		PACK=$DIST/build/pack
		mkdir -p "$DIST/build"
		$GO build -C scripts/pack -trimpath -buildvcs=false -o "$PACK" .
	fi
	command=$1
	shift
	"$PACK" "$command" -version "$VERSION" -revision "$REVISION" -created "$CREATED" "$@"
}

sha256() {
	if command -v sha256sum >/dev/null; then sha256sum -- "$@"; else shasum -a 256 -- "$@"; fi
}
