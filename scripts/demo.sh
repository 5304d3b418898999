#!/bin/sh
# The demo: three regions on this machine, with edges, and what they do for the
# applications on them. `make demo` builds the daemons and runs it; with KEEP=1
# everything stays up afterwards. It ends 0 when all scenes went as told.
#
# It needs the Go tool chain and a POSIX system, nothing else. All of it happens on
# loopback, in a new directory under $TMPDIR, which holds the settings of each daemon
# (they are made to be read) and its log.
#
#   BIN=dir       where hubd, gwd and leafd are                  (bin)
#   KEEP=1        leave it running and say how to look at it
#   PATIENCE=30   seconds to wait for any one thing before giving up
#   LOG_LEVEL=debug  more in the logs
set -u

ROOT=$(cd "$(dirname "$0")/.." && pwd)
cd "$ROOT" || exit 1
BIN=$(cd "${BIN:-bin}" 2>/dev/null && pwd) || { echo "demo: no daemons; run make build" >&2; exit 1; }
KEEP=${KEEP:-}
PATIENCE=${PATIENCE:-30}
LOG_LEVEL=${LOG_LEVEL:-info}
SCENE=
STARTED=
REGIONS="sfo ams sgp"
# The commands below must not pick up a user's own servers and passwords.
unset NATS_URL NATS_USER NATS_PASSWORD NATS_TOKEN NATS_CREDS NATS_NKEY NATS_CA NATS_CERT NATS_KEY

. scripts/lib/processes.sh
. scripts/lib/topology.sh
. scripts/lib/traffic.sh

DIR=$(mktemp -d "${TMPDIR:-/tmp}/banyan-demo.XXXXXX") || exit 1

# finish: however the demo ends, nothing is left running unless that was asked for.
finish() {
	code=$?
	trap - EXIT INT TERM HUP
	if [ $code -eq 0 ] && [ -n "$KEEP" ]; then
		keep
		exit 0
	fi
	# shellcheck disable=SC2086 # a list of names
	stop $STARTED
	if [ $code -eq 0 ]; then
		rm -rf "$DIR"
	else
		say "Everything is stopped. Settings and logs of each process: $DIR" >&2
	fi
	exit $code
}
trap finish EXIT
trap 'echo; echo "interrupted" >&2; exit 130' INT TERM HUP

# --- the regions --------------------------------------------------------------

# start_regions: two hubs and two border nodes in each region, and an edge.
start_regions() {
	PLACE=regions
	"$BIN/hubd" keys tls --dir "$DIR/tls" --name hub >/dev/null &&
		"$BIN/hubd" keys tls --dir "$DIR/tls" --name gateway --both >/dev/null || fail "no certificates"
	${GO:-go} build -o "$DIR/delayproxy" ./test/delayproxy/cmd || fail "the delaying proxy does not build"

	# How far away a region is: the round trip to it over any road.
	for region in $REGIONS; do
		case $region in
		sfo) trip=10ms ;;
		ams) trip=20ms ;;
		sgp) trip=60ms ;;
		esac
		for gw in $(borders_of $region); do build_road "$gw" $trip; done
	done

	# The first hub of each region, then the second with a route to the first. After
	# that the ports of both are known, and go into the settings.
	for number in 1 2; do
		for region in $REGIONS; do write_hub "$PLACE/hub-$region-$number" $region; done
		for region in $REGIONS; do launch "$PLACE/hub-$region-$number"; done
		for region in $REGIONS; do up "$PLACE/hub-$region-$number"; done
	done
	for region in $REGIONS; do
		for hub in $(hubs_of $region); do write_hub "$hub" $region; done
	done

	for region in $REGIONS; do
		for gw in $(borders_of $region); do
			await "$PATIENCE" road_built "$gw" || fail "the road to $gw is not there"
		done
	done
	for region in $REGIONS; do
		for gw in $(borders_of $region); do
			write_border "$gw" $region
			launch "$gw"
		done
		write_edge "$(edge_of $region)" $region
		launch "$(edge_of $region)"
	done
	for region in $REGIONS; do
		for gw in $(borders_of $region); do
			up "$gw"
			open_road "$gw"
			write_border "$gw" $region
		done
		up "$(edge_of $region)"
		write_edge "$(edge_of $region)" $region
	done
}

# --- scene 1 ------------------------------------------------------------------

scene_events() {
	scene 1 "events published at an edge in Singapore reach a subscriber at an edge in San Francisco"
	count=1000
	subscribe events-at-sfo "$(edge_of sfo)" "events.>"
	reach "$(edge_of sgp)" events.sgp sgp events-at-sfo
	numbers sgp $count | "$BIN/hubd" pub events.sgp -s "$(url "$(edge_of sgp)")" || fail "publishing failed"
	await "$PATIENCE" got events-at-sfo sgp $count || true
	# shellcheck disable=SC2046 # five numbers
	set -- $(tally events-at-sfo sgp $count)
	saw "$count published at edge-sgp; $1 came to edge-sfo, $2 missing, $3 doubled, $4 out of order"
	[ "$*" = "$count 0 0 0 0" ] || fail "every event should have come once, in order"
	stop events-at-sfo
}

say "Banyan: three regions on this machine."
start_regions
scene_events
