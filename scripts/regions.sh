#!/bin/sh
# Three regions by hand, sfo, ams and sgp, on this machine: hubs, border nodes and an edge each, with mutual TLS between
# servers, edges that prove themselves with an nkey, and a road of a given length between each two regions.
#
#   scripts/regions.sh up                        starts everything, and waits until all links are there
#   scripts/regions.sh status                    a table; fails when a link is missing that should be there
#   scripts/regions.sh logs NODE                 the end of its log, and what follows
#   scripts/regions.sh kill NODE                 with -9
#   scripts/regions.sh drain NODE                gently (lame duck), and waits until it is gone
#   scripts/regions.sh restart NODE              stops it if it runs, starts it, waits until it listens
#   scripts/regions.sh partition REGION REGION   no byte goes between the two any more
#   scripts/regions.sh heal REGION REGION        as before
#   scripts/regions.sh chaos [SECONDS]           kills, drains and partitions at random; all must be well after each (60)
#   scripts/regions.sh inventory                 the list for scripts/rolling-upgrade.sh
#   scripts/regions.sh down                      stops everything and removes the directory
#
# Everything is in one directory: for each node its settings (made to be read), its log and its process id. In the
# environment of "up"; the other verbs remember it:
#
#   DIR=run           the directory
#   N=2 G=2           hubs and border nodes of each region; at most 6 and 2
#   BASE=30100        first port: BASE + 100 * region + 10 * node + service (0 clients, 1 HTTP, 2 routes, 3 gateway, 4 leafs,
#                     5 to 7 the roads from the three regions); hubs are nodes 0 to 5, border nodes 8 and 9; edges follow at
#                     BASE + 390
#   RTT_SFO_AMS=150ms RTT_AMS_SGP=160ms RTT_SFO_SGP=180ms   round trips
#   BIN=bin           where hubd, gwd and leafd are
#   BIN_HUB BIN_GWD BIN_LEAF                    other binaries; also of a region (BIN_HUB_ams) or of a node (BIN_hub_ams_0).
#                     Each may be a nats-server. A region all of whose hubs are that has no border nodes.
#   KEEP=1            "down" leaves settings and logs
#   PATIENCE=30       seconds to wait for any one thing
set -u

ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/scripts/lib/processes.sh"
. "$ROOT/scripts/lib/topology.sh"

fail() {
	printf 'regions: %s\n' "$*" >&2
	exit 1
}
usage() { sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"; }
VERB=${1:-help}
[ $# -eq 0 ] || shift
DIR=${DIR:-$PWD/run}
case $DIR in
/*) ;;
*) DIR=$PWD/$DIR ;;
esac
STARTED=
SCENE=
REGIONS="sfo ams sgp"
LOG_LEVEL=${LOG_LEVEL:-info}
PATIENCE=${PATIENCE:-30}
# Who the edges are. This pair is known to everybody: it is for loopback.
EDGE_PUB=${EDGE_PUB:-UAZIQELEEUAN6LBMMSIUOLZPD5FPADT7MBEXOU2TCZZYQK6VL22HYYOZ}
EDGE_SEED=${EDGE_SEED:-SUABK6OJGJ44UIW4R4VWMEVQJNHBGKYVFRDCMBJ42NJRW7BTV6EEVIQOWY}

remembered() {
	N=${N:-2} G=${G:-2} BASE=${BASE:-30100} BIN=${BIN:-$ROOT/bin}
	RTT_SFO_AMS=${RTT_SFO_AMS:-150ms} RTT_AMS_SGP=${RTT_AMS_SGP:-160ms} RTT_SFO_SGP=${RTT_SFO_SGP:-180ms}
	BIN_HUB=${BIN_HUB:-$BIN/hubd} BIN_GWD=${BIN_GWD:-$BIN/gwd} BIN_LEAF=${BIN_LEAF:-$BIN/leafd}
}
if [ "$VERB" != up ] && [ -f "$DIR/environment" ]; then
	. "$DIR/environment"
fi
remembered

# --- names, ports, binaries ---------------------------------------------------

index_of() {
	case $1 in
	sfo) echo 0 ;;
	ams) echo 1 ;;
	sgp) echo 2 ;;
	*) fail "$1 is none of $REGIONS" ;;
	esac
}
region_of() {
	region_of=${1#*-}
	echo "${region_of%%-*}"
}
numbers_to() { awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) print i }'; }
hubs_of() { for hubs_i in $(numbers_to "$N"); do echo "hub-$1-$hubs_i"; done; }
borders_of() {
	[ "$(kind_of_region "$1")" = theirs ] || for borders_i in $(numbers_to "$G"); do echo "gw-$1-$borders_i"; done
}
edge_of() { echo "edge-$1"; }
# gateways_of: the nodes of a region that other regions connect to.
gateways_of() {
	if [ "$(kind_of_region "$1")" = theirs ]; then hubs_of "$1"; else borders_of "$1"; fi
}
nodes() {
	for nodes_region in $REGIONS; do
		hubs_of "$nodes_region" && borders_of "$nodes_region" && edge_of "$nodes_region"
	done
}

# binary NODE: what it runs.
binary() {
	binary_role=${1%%-*}
	case $binary_role in
	hub) binary_kind=HUB ;;
	gw) binary_kind=GWD ;;
	edge) binary_kind=LEAF ;;
	esac
	binary_node=$(echo "$1" | tr - _)
	eval "echo \"\${BIN_$binary_node:-\${BIN_${binary_kind}_$(region_of "$1"):-\$BIN_$binary_kind}}\""
}
is_theirs() {
	case $(binary "$1") in
	*nats-server*) return 0 ;;
	esac
	return 1
}
# kind_of_region: ours, theirs or mixed, by its hubs.
kind_of_region() {
	kind_theirs=0
	for kind_hub in $(hubs_of "$1"); do
		if is_theirs "$kind_hub"; then kind_theirs=$((kind_theirs + 1)); fi
	done
	case $kind_theirs in
	0) echo ours ;;
	"$N") echo theirs ;;
	*) echo mixed ;;
	esac
}

# port NODE KIND: by the scheme above.
port() {
	port_region=$(index_of "$(region_of "$1")")
	port_number=${1##*-}
	case $2 in
	nats) port_service=0 ;;
	monitoring) port_service=1 ;;
	cluster) port_service=2 ;;
	gateway) port_service=3 ;;
	leafnodes) port_service=4 ;;
	road-*) port_service=$((5 + $(index_of "${2#road-}"))) ;;
	nowhere) port_service=9 ;;
	esac
	case $1 in
	edge-*) echo $((BASE + 390 + 2 * port_region + port_service)) ;;
	gw-*) echo $((BASE + 100 * port_region + 10 * (8 + port_number) + port_service)) ;;
	*) echo $((BASE + 100 * port_region + 10 * port_number + port_service)) ;;
	esac
}
http() { echo "127.0.0.1:$(port "$1" monitoring)"; }

# --- roads --------------------------------------------------------------------

# Each region has a road of its own to each gateway of the others, so that two regions can be parted and the third still
# reaches both. A gateway advertises a port where nobody listens: else regions would learn a way past their road.
road() { echo "127.0.0.1:$(port "$1" nowhere)"; }
roads_between() { # REGION REGION: the names of the processes, both ways
	for roads_to in $(gateways_of "$2"); do echo "road-$1-to-$roads_to"; done
	for roads_to in $(gateways_of "$1"); do echo "road-$2-to-$roads_to"; done
}
round_trip() {
	case "$1 $2" in
	"sfo ams" | "ams sfo") echo "$RTT_SFO_AMS" ;;
	"ams sgp" | "sgp ams") echo "$RTT_AMS_SGP" ;;
	*) echo "$RTT_SFO_SGP" ;;
	esac
}
# build_roads FROM: the roads of a region to all others.
build_roads() {
	for build_to in $REGIONS; do
		[ "$build_to" != "$1" ] || continue
		for build_gw in $(gateways_of "$build_to"); do
			build_name=road-$1-to-$build_gw
			mkdir -p "$DIR/$build_name"
			mkfifo "$DIR/$build_name/in"
			start "$build_name" "$DIR/delayproxy" --listen "127.0.0.1:$(port "$build_gw" "road-$1")" \
				--target "127.0.0.1:$(port "$build_gw" gateway)" --rtt "$(round_trip "$1" "$build_to")"
		done
	done
}
order() { # ORDER ROAD...
	order_text=$1
	shift
	for order_road; do echo "$order_text" 1<>"$DIR/$order_road/in"; done
}
pairs() { echo "sfo:ams ams:sgp sfo:sgp"; }

# --- settings -----------------------------------------------------------------

leaf_users() { echo "{nkey: $EDGE_PUB, account: APP}, {name: edge, password: $PASSWORD, account: APP}"; }
leaf_proof() {
	if [ "$PROOF" = nkey ]; then
		echo "    seed: {file: $DIR/edge.seed}"
	else
		echo "    user: edge"
		echo "    password: $PASSWORD"
	fi
}
# remotes_of REGION: all regions, the others over its roads.
remotes_of() {
	for remotes_to in $REGIONS; do
		remotes_urls=
		for remotes_gw in $(gateways_of "$remotes_to"); do
			if [ "$remotes_to" = "$1" ]; then
				remotes_url=nats://$(road "$remotes_gw")
			else
				remotes_url=nats://127.0.0.1:$(port "$remotes_gw" "road-$1")
			fi
			remotes_urls="${remotes_urls:+$remotes_urls, }\"$remotes_url\""
		done
		echo "    - {name: $remotes_to, urls: [$remotes_urls]}"
	done
}

# write_theirs NODE REGION: settings of a nats-server.
write_theirs() {
	mkdir -p "$DIR/$1"
	theirs_tls="tls { cert_file: \"$DIR/tls/server.crt\", key_file: \"$DIR/tls/server.key\", ca_file: \"$DIR/tls/ca.crt\", verify: true, timeout: 5 }"
	{
		cat <<-END
			server_name: $1
			listen: "127.0.0.1:$(port "$1" nats)"
			http: "127.0.0.1:$(port "$1" monitoring)"
			ports_file_dir: "$DIR/$1"
			lame_duck_duration: 30s
			lame_duck_grace_period: 2s
			accounts {
			  APP { users: [ { user: app, password: $PASSWORD } ] }
			  SYS { users: [ { user: sys, password: $PASSWORD } ] }
			}
			system_account: SYS
			no_auth_user: app
		END
		case $1 in
		hub-*)
			echo "cluster { name: $2, listen: \"127.0.0.1:$(port "$1" cluster)\", $theirs_tls"
			echo "  authorization { user: route, password: $PASSWORD, timeout: 5 }"
			echo "  routes: ["
			for theirs_hub in $(hubs_of "$2"); do echo "    \"nats://route:$PASSWORD@127.0.0.1:$(port "$theirs_hub" cluster)\""; done
			echo "  ]"
			echo "}"
			echo "leafnodes { listen: \"127.0.0.1:$(port "$1" leafnodes)\", no_advertise: true"
			echo "  tls { cert_file: \"$DIR/tls/server.crt\", key_file: \"$DIR/tls/server.key\", timeout: 5 }"
			echo "  authorization { users: [ { user: edge, password: $PASSWORD, account: APP } ] }"
			echo "}"
			if [ "$(kind_of_region "$2")" = theirs ]; then
				echo "gateway { name: $2, listen: \"127.0.0.1:$(port "$1" gateway)\", advertise: \"$(road "$1")\", reject_unknown_cluster: true, $theirs_tls"
				echo "  gateways: ["
				remotes_of "$2" | sed 's/^ *- /    /'
				echo "  ]"
				echo "}"
			fi
			;;
		edge-*)
			echo "leafnodes { remotes: [ { account: APP, no_randomize: true, tls { ca_file: \"$DIR/tls/ca.crt\" }, urls: ["
			for theirs_hub in $(hubs_of "$2"); do echo "    \"tls://edge:$PASSWORD@127.0.0.1:$(port "$theirs_hub" leafnodes)\""; done
			echo "] } ] }"
			;;
		esac
	} >"$DIR/$1/server.conf"
}

write_node() {
	write_region=$(region_of "$1")
	if is_theirs "$1"; then
		write_theirs "$1" "$write_region"
		return
	fi
	PROOF=nkey BORDER=
	[ "$(kind_of_region "$write_region")" = ours ] || PROOF=password
	[ "$(kind_of_region "$write_region")" = ours ] || BORDER="{mode: single_owner, priority: $((10 - ${1##*-}))}"
	REMOTES=$(remotes_of "$write_region")
	case $1 in
	hub-*) BORDER='' && write_hub "$1" "$write_region" ;;
	gw-*) write_border "$1" "$write_region" ;;
	edge-*) write_edge "$1" "$write_region" ;;
	esac
}

# --- running ------------------------------------------------------------------

known() {
	[ -d "$DIR/$1" ] && nodes | grep -qx "$1" || fail "there is no node $1; there are: $(nodes | tr '\n' ' ')"
}
boot() {
	for boot_node; do
		for boot_file in "$DIR/$boot_node"/*.yaml "$DIR/$boot_node"/*.conf; do
			[ ! -f "$boot_file" ] || start "$boot_node" "$(binary "$boot_node")" -c "$boot_file"
		done
	done
}
listens() { gone "$1" || "$CLI" status --http "$(http "$1")" >/dev/null 2>&1; }
listening() {
	for listening_node; do
		await "$PATIENCE" listens "$listening_node" || fail "$listening_node does not listen after $PATIENCE s"
		alive "$listening_node" || fail "$listening_node ended: $(tail -n 3 "$DIR/$listening_node/log")"
	done
}
# The tool that asks nodes: any daemon of ours.
CLI=$BIN_HUB
case $CLI in
*nats-server*) CLI=$BIN/hubd ;;
esac

up() {
	[ ! -e "$DIR" ] || fail "$DIR is there already: run \"$0 down\" first, or give another DIR"
	[ "$N" -ge 1 ] && [ "$N" -le 6 ] && [ "$G" -ge 1 ] && [ "$G" -le 2 ] || fail "N is from 1 to 6 and G 1 or 2, not $N and $G"
	for up_node in $(nodes); do
		[ -x "$(binary "$up_node")" ] || fail "no binary $(binary "$up_node") for $up_node: run make build, or name one"
	done
	mkdir -p "$DIR"
	set | grep -E '^(N|G|BASE|BIN|BIN_[A-Za-z0-9_]*|RTT_[A-Z_]*|EDGE_PUB|LOG_LEVEL)=' >"$DIR/environment"
	(umask 077 && echo "$EDGE_SEED" >"$DIR/edge.seed")
	"$CLI" keys tls --dir "$DIR/tls" --name hub >/dev/null &&
		"$CLI" keys tls --dir "$DIR/tls" --name server --both >/dev/null &&
		"$CLI" keys tls --dir "$DIR/tls" --name gateway --both >/dev/null || fail "no certificates"
	ROUTE_TLS="{cert: $DIR/tls/server.crt, key: $DIR/tls/server.key, ca: $DIR/tls/ca.crt, verify: true, timeout: 5s}"
	(cd "$ROOT" && ${GO:-go} build -o "$DIR/delayproxy" ./test/delayproxy/cmd) || fail "the delaying proxy does not build"
	for up_region in $REGIONS; do build_roads "$up_region"; done
	for up_node in $(nodes); do write_node "$up_node"; done
	for up_region in $REGIONS; do
		# shellcheck disable=SC2046 # lists of names
		boot $(hubs_of "$up_region")
	done
	for up_region in $REGIONS; do
		# shellcheck disable=SC2046
		boot $(borders_of "$up_region") "$(edge_of "$up_region")"
	done
	# shellcheck disable=SC2046
	listening $(nodes)
	await "$PATIENCE" well || {
		status
		fail "not all links are there after $PATIENCE s; logs are below $DIR"
	}
	status
}

down() {
	[ -d "$DIR" ] || fail "there is nothing at $DIR"
	[ -f "$DIR/environment" ] || fail "$DIR was not made by this script"
	down_names=
	for down_file in "$DIR"/*/pid; do
		[ -f "$down_file" ] || continue
		down_file=${down_file%/pid}
		down_names="$down_names ${down_file##*/}"
	done
	# shellcheck disable=SC2086 # a list of names
	stop $down_names
	[ -n "${KEEP:-}" ] || rm -rf "$DIR"
}

# drained: a gentle stop, to its end.
drained() {
	kill -USR2 "$(pid "$1")" || return 1
	await 180 gone "$1" && rm -f "$DIR/$1/pid"
}

# --- looking ------------------------------------------------------------------

number_in() { # KEY, of the last section of the answer, /varz
	number_in=$(printf '%s' "${look##*\"varz\":}" | tr ',{' '\n\n' | sed -n "s/^ *\"$1\": *\([0-9][0-9]*\).*/\1/p" | head -n 1)
	echo "${number_in:-0}"
}
# links NODE: what it has: "clients routes leafs", and for gateways " REGION=OUT/IN..."
links() {
	look=$("$CLI" status --json --limit 1 --http "$(http "$1")" 2>/dev/null)
	case $? in
	0) ready=200 ;;
	1) ready=500 ;;
	*) ready=- ;;
	esac
	clients=$(number_in connections) routes=$(number_in remotes) leafs=$(number_in leafnodes)
	[ "$routes" != 0 ] || ! is_theirs "$1" || routes=$(number_in routes)
	gateways=
	case " $(gateways_of "$(region_of "$1")" | tr '\n' ' ') " in
	*" $1 "*)
		gateways=$("$CLI" gateways --http "$(http "$1")" 2>/dev/null | awk '
			$2 == "out" { out[$1]++; all[$1] }
			$2 == "in" { come[$1]++; all[$1] }
			END { for (r in all) printf "%s=%d/%d ", r, out[r], come[r] }')
		;;
	esac
}

# lacking NODE: what it should have and has not.
lacking() {
	lacking_region=$(region_of "$1")
	set -- "$1" "$(hubs_of "$lacking_region" | wc -l)" "$(borders_of "$lacking_region" | wc -l)"
	[ "$ready" = 200 ] || { echo "not ready" && return; }
	case $1 in
	edge-*) [ "$leafs" -ge 1 ] || echo "its leaf link" ;;
	*) [ "$routes" -ge $(($2 + $3 - 1)) ] || echo "$(($2 + $3 - 1 - routes)) routes" ;;
	esac
	case " $(gateways_of "$lacking_region" | tr '\n' ' ') " in
	*" $1 "*)
		for lacking_other in $REGIONS; do
			[ "$lacking_other" != "$lacking_region" ] || continue
			case " $gateways" in
			*" $lacking_other=0/"*) echo "the way to $lacking_other" ;;
			*" $lacking_other="*) ;;
			*) echo "the way to $lacking_other" ;;
			esac
		done
		;;
	esac
}

# well: whether everything is there.
well() {
	for well_node in $(nodes); do
		alive "$well_node" || return 1
		links "$well_node"
		[ -z "$(lacking "$well_node")" ] || return 1
	done
}

status() {
	missing=0
	printf '%-12s %-5s %8s %6s %8s %7s %6s  %-24s %s\n' NODE ROLE PID READYZ CLIENTS ROUTES LEAFS "GATEWAYS OUT/IN" MISSING
	for status_node in $(nodes); do
		case $status_node in
		hub-*) role=hub ;;
		gw-*) role=gwd ;;
		*) role=leaf ;;
		esac
		is_theirs "$status_node" && role="$role*"
		if alive "$status_node"; then
			links "$status_node"
			lacks=$(lacking "$status_node" | tr '\n' ',' | sed 's/,$//; s/,/, /g')
		else
			ready=- clients=- routes=- leafs=- gateways='' lacks="it does not run"
		fi
		[ -z "$lacks" ] || missing=$((missing + 1))
		printf '%-12s %-5s %8s %6s %8s %7s %6s  %-24s %s\n' "$status_node" "$role" "$(pid "$status_node")" "$ready" "$clients" "$routes" "$leafs" "${gateways:--}" "$lacks"
	done
	[ "$missing" -eq 0 ]
}

inventory() {
	for inventory_region in $REGIONS; do
		echo "[$inventory_region]"
		for inventory_node in $(nodes | grep -e "-$inventory_region"); do
			is_theirs "$inventory_node" && continue
			case $inventory_node in
			hub-*) role=hub file=hubd.yaml ;;
			gw-*) role=gwd file=gwd.yaml ;;
			*) role=leaf file=leafd.yaml ;;
			esac
			echo "$inventory_node $role $(http "$inventory_node") local $DIR/$inventory_node/pid $(binary "$inventory_node") -c $DIR/$inventory_node/$file"
		done
	done
}

# --- mishaps ------------------------------------------------------------------

random() { # N: sets random_number to one below it
	RANDOM_STATE=$(((RANDOM_STATE * 1103515245 + 12345) % 2147483648))
	random_number=$((RANDOM_STATE / 65536 % $1))
}
chaos() {
	chaos_end=$(($(now) + ${1:-60}))
	RANDOM_STATE=${SEED:-$(now)}
	say "SEED=$RANDOM_STATE"
	while [ "$(now)" -lt "$chaos_end" ]; do
		random "$(nodes | wc -l)"
		victim=$(nodes | sed -n "$((random_number + 1))p")
		random 5
		chaos_began=$(now)
		case $random_number in
		0 | 1)
			what="kill of $victim"
			murder "$victim" && sleep 1 && boot "$victim"
			;;
		2)
			what="suspension of $victim"
			kill -STOP "$(pid "$victim")" && sleep 3 && kill -CONT "$(pid "$victim")"
			;;
		3)
			what="drain of $victim"
			drained "$victim" && boot "$victim"
			;;
		4)
			random 3
			# shellcheck disable=SC2046 # three pairs
			set -- $(pairs)
			shift "$random_number"
			what="partition of ${1%:*} and ${1#*:}"
			# shellcheck disable=SC2046
			order freeze $(roads_between "${1%:*}" "${1#*:}") && sleep 3 && order thaw $(roads_between "${1%:*}" "${1#*:}")
			;;
		esac
		await "$PATIENCE" well || {
			status
			fail "after the $what not all links have come back within $PATIENCE s"
		}
		say "$what: all is well after $(($(now) - chaos_began)) s"
	done
}

case $VERB in
up) up ;;
down) down ;;
status | inventory) [ -d "$DIR" ] || fail "there is nothing at $DIR: run \"$0 up\"" && "$VERB" ;;
logs)
	known "${1:-}" && exec tail -n "${LINES:-50}" -f "$DIR/$1/log"
	;;
kill) known "${1:-}" && murder "$1" ;;
drain) known "${1:-}" && { drained "$1" || fail "$1 has not left"; } ;;
restart)
	known "${1:-}"
	stop "$1"
	boot "$1"
	listening "$1"
	;;
partition | heal)
	[ $# -eq 2 ] && [ "$1" != "$2" ] || fail "which two regions of $REGIONS?"
	index_of "$1" >/dev/null && index_of "$2" >/dev/null
	case $VERB in
	partition) word=freeze ;;
	*) word=thaw ;;
	esac
	# shellcheck disable=SC2046 # a list of names
	order $word $(roads_between "$1" "$2")
	;;
chaos) chaos "$@" ;;
help | -h | --help) usage ;;
*) fail "unknown verb $VERB; \"$0 help\" lists them" ;;
esac
