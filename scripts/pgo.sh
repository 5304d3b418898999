#!/bin/sh
# Makes the profile that "make build" gives the compiler, from the daemons under the loads of test/bench: each daemon's own
# CPU profiles, merged into one file. One file for all daemons, named by -pgo, lets them share the packages that they
# share; a default.pgo beside each main would have every package compiled three times.
#
#   scripts/pgo.sh           writes pgo/daemons.pgo, about 5 minutes; best on a quiet machine
#   scripts/pgo.sh compare   measures binaries with the profile beside binaries without, and writes that section of
#                            docs/BENCHMARKS.md
#
# DURATION is the load of each scenario (4s), PROFILE the file that is written; the rest of the arguments goes to the programme: see go run ./test/bench --help.
set -eu
cd "$(dirname "$0")/.."

profile=${PROFILE:-pgo/daemons.pgo}
work=$(mktemp -d "${TMPDIR:-/tmp}/banyan-pgo.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
go build -o "$work/bench" ./test/bench

if [ "${1-}" = compare ]; then
	shift
	make -s build BIN="$work/with" PGO="$profile"
	make -s build BIN="$work/without" PGO=
	"$work/bench" --a "$work/with/hubd" --b "$work/without/hubd" --section pgo --markdown docs/BENCHMARKS.md \
		--scenarios '^(publish-128|1to1-(16|128|1k|5000-subjects)|pairs-4|queue-8|fanout-100|tls-1to1-128|subs-100k-cold|churn-wildcard|paced-10k|reqrep-(1|64)|(route|gateway|leaf)-1to1-128)$' \
		--limit 30m "$@"
	exit
fi

# What a daemon does most, in each of its ways: floods, waiting, links, encryption, interest.
loads='^(publish-(16|128|1k)|1to1-(16|128|1k|headers|5000-subjects)|pairs-4|4to1|queue-(8|3x8)|fanout-(10|100)'
loads="$loads|tls-(1to1-128|fanout-10)|subs-100k-(hot|cold|none)|churn-(literal|wildcard|beside)|paced-(10k|100-pairs|fanout-100)"
loads="$loads|reqrep-(1|64|64x1)|(route|gateway|leaf)-(1to1-128|fanout-10|paced-10k|reqrep-1))\$"

# An old profile must not shape the new one.
make -s build BIN="$work" PGO=
mkdir "$work/profiles"
"$work/bench" --a "$work/hubd" --b none --pairs 1 --retries 0 --duration "${DURATION:-4s}" --limit 20m \
	--profiles "$work/profiles" --scenarios "$loads" "$@"
mkdir -p "$(dirname "$profile")"
go tool pprof -proto -output "$work/merged" "$work"/profiles/*.pprof >/dev/null
mv "$work/merged" "$profile"
echo "$profile: $(wc -c <"$profile") bytes, of $(ls "$work/profiles" | wc -l) profiles"
