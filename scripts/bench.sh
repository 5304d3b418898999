#!/bin/sh
# Measures our daemons beside the installed reference server and writes docs/BENCHMARKS.md.
#
#   scripts/bench.sh                       all usual scenarios, about 15 minutes
#   scripts/bench.sh --quick               a smoke test, about 4 minutes; writes no document
#   scripts/bench.sh --scenarios '^1to1'   some of them; writes no document
#
# NATS_SERVER names another server to compare with. Everything else goes to the programme: see go run ./test/bench --help.
set -eu
cd "$(dirname "$0")/.."

bin=$(mktemp -d "${TMPDIR:-/tmp}/banyan-bench-bin.XXXXXX")
trap 'rm -rf "$bin"' EXIT INT TERM
for daemon in hubd gwd leafd; do
	go build -buildvcs=auto -o "$bin/$daemon" "./cmd/$daemon"
done
go build -o "$bin/bench" ./test/bench

# Only a whole run may replace the document.
document="--markdown docs/BENCHMARKS.md"
for arg in "$@"; do
	case $arg in
	--quick | -quick | --scenarios* | -scenarios* | --markdown* | -markdown* | --list | -list | --help | -h) document= ;;
	esac
done
# shellcheck disable=SC2086 # two words or none
"$bin/bench" --a "$bin/hubd" $document "$@"
