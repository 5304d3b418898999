#!/bin/sh
# Measures our daemons beside the installed reference server and writes the section of docs/BENCHMARKS.md that a set of
# scenarios has.
#
#   scripts/bench.sh                       the usual scenarios
#   scripts/bench.sh curves                another set: checks, curves, accounts, brokers or gc
#   scripts/bench.sh all                   every set, one after the other
#   scripts/bench.sh --quick               a smoke test of some minutes; writes no document
#   scripts/bench.sh --scenarios '^1to1'   some scenarios; writes no document
#
# A set begins no scenario after --limit (set below). All figures go to out/bench/SET.json. NATS_SERVER names another server
# to compare with; PGO= measures binaries built without a profile. Everything else goes to the programme: see
# go run ./test/bench --help.
set -eu
cd "$(dirname "$0")/.."

sets=usual
case ${1-} in
usual | checks | curves | accounts | brokers | gc) sets=$1 && shift ;;
all) sets="usual checks curves accounts brokers gc" && shift ;;
esac

# How long a set may take at most; on a quiet machine it is over in half of that.
limit() {
	case $1 in
	usual) echo 45m ;;
	curves) echo 70m ;;
	*) echo 50m ;;
	esac
}

bin=$(mktemp -d "${TMPDIR:-/tmp}/banyan-bench-bin.XXXXXX")
trap 'rm -rf "$bin"' EXIT INT TERM
# What is measured is what "make build" makes.
make -s build BIN="$bin"
go build -o "$bin/bench" ./test/bench

# Only a whole run may replace a section of the document.
whole=yes
for arg in "$@"; do
	case $arg in
	--quick | -quick | --scenarios* | -scenarios* | --markdown* | -markdown* | --list | -list | --help | -h) whole= ;;
	esac
done
mkdir -p out/bench
status=0
for set in $sets; do
	[ -z "$whole" ] || set -- --markdown docs/BENCHMARKS.md "$@"
	"$bin/bench" --set "$set" --a "$bin/hubd" --limit "$(limit "$set")" --json "out/bench/$set.json" "$@" || status=$?
done
exit "$status"
