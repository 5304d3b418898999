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
	if [ $code -eq 0 ] || [ $code -eq 130 ]; then
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

	# The first hub of each region, then the second with a route to the first.
	for number in 1 2; do
		for region in $REGIONS; do write_hub "$PLACE/hub-$region-$number" $region; done
		for region in $REGIONS; do launch "$PLACE/hub-$region-$number"; done
		for region in $REGIONS; do up "$PLACE/hub-$region-$number"; done
	done

	# What knows the hubs' addresses: border nodes and edges.
	borders=$(for region in $REGIONS; do borders_of $region; done)
	for gw in $borders; do
		await "$PATIENCE" road_built "$gw" || fail "the road to $gw is not there"
	done
	# shellcheck disable=SC2086 # a list of names
	REMOTES=$(remotes $REGIONS)
	for region in $REGIONS; do
		for gw in $(borders_of $region); do write_border "$gw" $region; done
		write_edge "$(edge_of $region)" $region
	done
	for region in $REGIONS; do
		# shellcheck disable=SC2046 # a list of names
		launch $(borders_of $region) "$(edge_of $region)"
	done
	for gw in $borders; do
		up "$gw"
		open_road "$gw"
	done
	for region in $REGIONS; do up "$(edge_of $region)"; done
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

# --- scene 2 ------------------------------------------------------------------

# ask: who answers a request that is made at the edge of sfo?
ask() { "$BIN/hubd" request svc.where "" --raw --timeout 5s -s "$(url "$(edge_of sfo)")" 2>>"$DIR/requests.log"; }
answered_by() { [ "$(ask)" = "$1" ]; }
all_answered_by() {
	answers=$(for _ in 1 2 3 4 5; do ask; done | tr '\n' ' ')
	[ "$answers" = "$1 $1 $1 $1 $1 " ]
}

scene_service() {
	scene 2 "a service in Amsterdam and Singapore; San Francisco is served by the nearer one"
	# Singapore comes first, so that both are known to be there when both have answered.
	for region in sgp ams; do
		start "service-at-$region" "$BIN/hubd" reply svc.where "$region" -s "$(url "$(edge_of $region)")"
		await "$PATIENCE" answered_by $region || fail "the service at $region does not answer"
	done
	await "$PATIENCE" all_answered_by ams || fail "the nearer one, ams, should answer, not $answers"
	saw "5 requests at edge-sfo (ams is 20 ms away, sgp 60 ms) are answered by: $answers"

	stop service-at-ams
	answer=$(ask) || true
	saw "the service in ams is stopped; the next request is answered by: ${answer:-nobody}"
	[ "$answer" = sgp ] || fail "sgp should have answered"
	stop service-at-sgp
}

# --- scene 3 ------------------------------------------------------------------

# start_islands: the three regions once more, as clusters that have no gateways and
# know nothing of each other. Each of their hubs has a leaf link to a core, which is
# a super-cluster of two regions, east and west.
start_islands() {
	PLACE=islands
	remotes_before=$REMOTES
	cores="core-east core-west"
	for core in $cores; do
		build_road "$(borders_of $core)" 10ms
		write_hub "$(hubs_of $core)" $core
		launch "$(hubs_of $core)"
	done
	for core in $cores; do
		up "$(hubs_of $core)"
		await "$PATIENCE" road_built "$(borders_of $core)" || fail "the road to $core is not there"
	done
	# shellcheck disable=SC2086 # a list of names
	REMOTES=$(remotes $cores)
	for core in $cores; do
		write_border "$(borders_of $core)" $core
		launch "$(borders_of $core)"
	done
	for number in 1 2; do
		for region in $REGIONS; do
			write_hub "$PLACE/hub-$region-$number" $region "$(core_of $region)"
			launch "$PLACE/hub-$region-$number"
		done
		for region in $REGIONS; do up "$PLACE/hub-$region-$number"; done
	done
	for core in $cores; do
		up "$(borders_of $core)"
		open_road "$(borders_of $core)"
	done
	REMOTES=$remotes_before
}
core_of() {
	case $1 in
	sfo) hubs_of core-west ;;
	*) hubs_of core-east ;;
	esac
}

scene_islands() {
	scene 3 "the regions as separate clusters, joined only by leaf links to a core of two other regions"
	start_islands
	count=1000
	from=$PLACE/hub-sgp-2
	for region in $REGIONS; do
		subscribe "islander-$region" "$PLACE/hub-$region-1" "news.>"
	done
	reach "$from" news.sgp sgp islander-sfo islander-ams islander-sgp
	numbers sgp $count | "$BIN/hubd" pub news.sgp -s "$(url "$from")" || fail "publishing failed"
	for region in $REGIONS; do
		await "$PATIENCE" got "islander-$region" sgp $count || true
		# shellcheck disable=SC2046 # five numbers
		set -- $(tally "islander-$region" sgp $count)
		saw "$count published in sgp; $1 came to $region, $2 missing, $3 doubled, $4 out of order"
		[ "$*" = "$count 0 0 0 0" ] || fail "every message should have come once, in order"
		stop "islander-$region"
	done

	start islander-service "$BIN/hubd" reply svc.island "greetings from ams" -s "$(url "$PLACE/hub-ams-2")"
	await "$PATIENCE" island_answers || fail "no answer from ams"
	saw "a request in sfo is answered: $(ask_island)"
	stop islander-service
}
ask_island() {
	"$BIN/hubd" request svc.island "" --raw --timeout 5s -s "$(url "$PLACE/hub-sfo-1")" 2>>"$DIR/requests.log"
}
island_answers() { [ "$(ask_island)" = "greetings from ams" ]; }

# --- scene 4 ------------------------------------------------------------------

scene_deaths() {
	scene 4 "a hub, a border node and an edge are killed with -9 under traffic, and come back"
	PLACE=regions
	rate=200
	for region in $REGIONS; do subscribe "from-all-at-$region" "$(edge_of $region)" "load.>"; done
	for region in $REGIONS; do
		reach "$(edge_of $region)" "load.$region" $region from-all-at-sfo from-all-at-ams from-all-at-sgp
	done
	for region in $REGIONS; do
		mkdir "$DIR/load-at-$region"
		numbers $region 100000 >"$DIR/load-at-$region/in"
		start "load-at-$region" "$BIN/hubd" pub "load.$region" - --json --rate $rate -s "$(url "$(edge_of $region)")"
	done
	saw "a publisher at each edge, $rate messages a second; at each edge a subscriber of all of it"
	carried_on || fail "the traffic does not get going"

	for victim in hub-sfo-1 gw-ams-1 edge-sgp; do
		region=${victim#*-} region=${region%-*} victim=$PLACE/$victim
		write_again "$victim" "$region"
		murder "$victim"
		launch "$victim"
		up "$victim"
		carried_on || fail "after the death of $victim not everybody hears everybody again"
		saw "${victim##*/} is killed and started again: everybody hears everybody"
	done

	for region in $REGIONS; do stop "load-at-$region"; done
	saw "the publishers have ended; what came of it (core messages are at most once: those under"
	saw "way when a process dies are lost, none comes twice, none comes before an earlier one):"
	count_all
}

# carried_on: 50 more messages of each publisher come to each subscriber.
carried_on() {
	marks=
	for to in $REGIONS; do
		for from in $REGIONS; do marks="$marks $to:$from:$(($(last "from-all-at-$to" "$from") + 50))"; done
	done
	for mark in $marks; do
		to=${mark%%:*} from=${mark#*:}
		await "$PATIENCE" got "from-all-at-$to" "${from%:*}" "${from#*:}" || return 1
	done
}

count_all() {
	wrong=
	for from in $REGIONS; do
		sent=$(sed -n 's/.*"messages":\([0-9]*\).*/\1/p' "$DIR/load-at-$from/out")
		[ -n "$sent" ] || fail "the publisher at $from has not said how many it sent"
		for to in $REGIONS; do
			await "$PATIENCE" got "from-all-at-$to" "$from" "$sent" || wrong="the last message from $from did not come to $to"
			# shellcheck disable=SC2046 # five numbers
			set -- $(tally "from-all-at-$to" "$from" "$sent")
			saw "  $from to $to: $sent sent, $1 delivered, $2 lost (at most $(($5 * 1000 / rate)) ms in a row), $3 doubled, $4 out of order"
			[ "$3 $4" = "0 0" ] || wrong="messages are doubled or out of order"
		done
	done
	[ -z "$wrong" ] || fail "$wrong"
	for to in $REGIONS; do stop "from-all-at-$to"; done
}

# --- afterwards ---------------------------------------------------------------

# keep: the regions and the islands stay up; how to look at them, and how to stop them.
keep() {
	PLACE=regions
	for region in $REGIONS; do
		for name in $(hubs_of $region) $(borders_of $region) $(edge_of $region); do write_again "$name" $region; done
	done
	cat >"$DIR/stop.sh" <<-END
		#!/bin/sh
		# Stops all that this demo has left running, and removes its directory.
		cd "$DIR" || exit 1
		for file in */*/pid; do
			read -r pid <"\$file" && kill "\$pid" 2>/dev/null
		done
		for file in */*/pid; do
			read -r pid <"\$file"
			tries=100
			while kill -0 "\$pid" 2>/dev/null && [ \$tries -gt 0 ]; do tries=\$((tries - 1)); sleep 0.1; done
			kill -9 "\$pid" 2>/dev/null
		done
		cd / && rm -rf "$DIR"
	END
	say
	say "Everything is still running; this is where clients connect (no password), and where to ask for the status:"
	say
	for region in $REGIONS; do
		for name in $(edge_of $region) $(hubs_of $region); do
			printf '   %-12s %-24s --http 127.0.0.1:%s\n' "${name##*/}" "$(url "$name")" "$(port "$name" monitoring)"
		done
	done
	for region in $REGIONS; do
		for name in $(borders_of $region); do
			printf '   %-12s %-24s --http 127.0.0.1:%s\n' "${name##*/}" "(no clients)" "$(port "$name" monitoring)"
		done
	done
	for name in islands/hub-sfo-1 islands/hub-ams-1 islands/hub-sgp-1; do
		printf '   %-12s %-24s (one of the separate clusters of scene 3)\n' "${name##*/}" "$(url "$name")"
	done
	say
	say "For instance, in two terminals:"
	say
	say "   $BIN/leafd sub 'news.>' -s $(url "$(edge_of sfo)")"
	say "   $BIN/leafd pub news.sgp 'it rains' -s $(url "$(edge_of sgp)")"
	say
	say "   $BIN/hubd status --http 127.0.0.1:$(port regions/hub-sfo-1 monitoring)"
	say "   $BIN/gwd status --http 127.0.0.1:$(port regions/gw-sfo-1 monitoring)"
	say
	say "Settings and logs of each: $DIR"
	say "Stop everything:           sh $DIR/stop.sh"
}

began=$(now)
say "Banyan on this machine: three regions, sfo, ams and sgp. Each has two hubs (hubd),
two border nodes (gwd) and an edge (leafd). Edges reach a hub of their region over
TLS; border nodes reach other regions over TLS and a proxy that makes them far away.
All applications below are at edges; the way from edge to edge is

   edge-sgp -> hub-sgp -> gw-sgp -> gw-sfo -> hub-sfo -> edge-sfo"
start_regions
say
saw "15 daemons are up"
scene_events
scene_service
scene_islands
scene_deaths
SCENE=
say
say "All scenes went as told, in $(($(now) - began)) seconds."
