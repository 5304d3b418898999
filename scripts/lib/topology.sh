# What the daemons of regions are and their settings. Sourced by scripts/demo.sh, whose
# names and ports these are, and by scripts/regions.sh, which has other names and
# fixed ports (hubs_of, borders_of, edge_of, port, road) and mutual TLS (ROUTE_TLS).
#
# A daemon's name is PLACE/WHAT-REGION-NUMBER, e.g. regions/hub-sfo-1. Every daemon
# lets the kernel choose its ports at its first start (port -1); they are then read
# from its ports file and written into its settings, so that it comes back on the
# same ones.

PASSWORD=not-a-secret # of routes, edges and users: all of it is on loopback

hubs_of() {
	case $1 in
	core-*) echo "$PLACE/hub-$1-1" ;;
	*) echo "$PLACE/hub-$1-1 $PLACE/hub-$1-2" ;;
	esac
}
borders_of() {
	case $1 in
	core-*) echo "$PLACE/gw-$1-1" ;;
	*) echo "$PLACE/gw-$1-1 $PLACE/gw-$1-2" ;;
	esac
}
edge_of() { echo "$PLACE/edge-$1"; }

# url NAME: where clients connect.
url() { echo "nats://127.0.0.1:$(port "$1" nats)"; }

# --- roads: proxies that make a region far away -------------------------------

# A border node is reached over a road of its own. The road is there first, so that
# everybody's settings can name it; where it leads to is told once that is known.
build_road() { # GATEWAY-NODE ROUND-TRIP
	mkdir -p "$DIR/$1-road"
	mkfifo "$DIR/$1-road/in" # it takes orders there
	start "$1-road" "$DIR/delayproxy" --target 127.0.0.1:1 --rtt "$2"
}
road_built() { has_lines "$1-road" 1; }
road() {
	read -r _ _ road_address <"$DIR/$1-road/out" # listening on 127.0.0.1:33001
	echo "$road_address"
}
open_road() {
	echo "target 127.0.0.1:$(port "$1" gateway)" 1<>"$DIR/$1-road/in"
}

# --- settings -----------------------------------------------------------------

# common NAME: what all three kinds of daemon have.
common() {
	cat <<-END
		server: {name: ${1##*/}}
		lifecycle: {ports_dir: $DIR/$1${LIFECYCLE:+, $LIFECYCLE}}
		log: {level: $LOG_LEVEL}
	END
}

# accounts: one for applications and the servers' own. Here a client that gives no
# name is the user app.
accounts() {
	cat <<-END
		accounts:
		  - name: APP
		    users: [{name: app, password: $PASSWORD}]
		  - name: SYS
		    users: [{name: sys, password: $PASSWORD}]
		auth: {system_account: SYS, no_auth_user: app}
	END
}

# cluster NAME REGION: routes to the region's hubs, as far as they are known yet.
cluster() {
	cluster_routes=
	for cluster_hub in $(hubs_of "$2"); do
		[ "$(port "$cluster_hub" cluster)" = -1 ] ||
			cluster_routes="${cluster_routes:+$cluster_routes, }\"nats://127.0.0.1:$(port "$cluster_hub" cluster)\""
	done
	cat <<-END
		cluster:
		  name: $2
		  listen: 127.0.0.1:$(port "$1" cluster)
		  user: route
		  password: $PASSWORD
		  routes: [$cluster_routes]
	END
	[ -z "${ROUTE_TLS:-}" ] || echo "  tls: $ROUTE_TLS"
}

# leaf_users: who edges are to a hub; leaf_proof: how they prove it.
leaf_users() { echo "{name: edge, password: $PASSWORD, account: APP}"; }
leaf_proof() {
	echo "    user: edge"
	echo "    password: $PASSWORD"
}

# upstream HUB...: one leaf link, over TLS, to the first of these hubs that answers.
upstream() {
	upstream_urls=
	for upstream_hub in "$@"; do
		upstream_urls="${upstream_urls:+$upstream_urls, }\"tls://127.0.0.1:$(port "$upstream_hub" leafnodes)\""
	done
	cat <<-END
		upstreams:
		  - urls: [$upstream_urls]
		    order: listed
		    local_account: APP
		    tls: {ca: $DIR/tls/ca.crt}
		    timeouts: {dial: 5s, first_info: 5s}
	END
	leaf_proof
}

# write_hub NAME REGION [HUB...]: a hub of a region; with a leaf link up to one of
# the hubs, if any are given.
write_hub() {
	mkdir -p "$DIR/$1"
	{
		common "$1"
		accounts
		cat <<-END
			clients: {listen: "127.0.0.1:$(port "$1" nats)"}
			monitor: {listen: "127.0.0.1:$(port "$1" monitoring)"}
			leafs:
			  listen: 127.0.0.1:$(port "$1" leafnodes)
			  tls: {cert: $DIR/tls/hub.crt, key: $DIR/tls/hub.key, timeout: 10s}
			  users: [$(leaf_users)]
			  timeouts: {reconnect: 200ms, reconnect_max: 2s}
		END
		cluster "$1" "$2"
		shift 2
		[ $# -eq 0 ] || upstream "$@"
	} >"$DIR/$1/hubd.yaml"
}

# write_edge NAME REGION: an edge node of a region.
write_edge() {
	mkdir -p "$DIR/$1"
	{
		common "$1"
		accounts
		cat <<-END
			clients: {listen: "127.0.0.1:$(port "$1" nats)"}
			monitor: {listen: "127.0.0.1:$(port "$1" monitoring)"}
			leafs: {timeouts: {reconnect: 200ms, reconnect_max: 2s}}
		END
		# shellcheck disable=SC2046 # a list of names
		upstream $(hubs_of "$2")
	} >"$DIR/$1/leafd.yaml"
}

# remotes REGION...: the regions and the roads to each of their border nodes.
remotes() {
	for remote; do
		remote_urls=
		for remote_gw in $(borders_of "$remote"); do
			remote_urls="${remote_urls:+$remote_urls, }\"nats://$(road "$remote_gw")\""
		done
		echo "    - {name: $remote, urls: [$remote_urls]}"
	done
}

# write_border NAME REGION: a border node of a region; $REMOTES are the regions that
# it looks for and that may connect. Gateways prove themselves to each other with
# certificates.
write_border() {
	mkdir -p "$DIR/$1"
	{
		common "$1"
		cluster "$1" "$2"
		cat <<-END
			auth: {system_account: SYS}
			monitor: {listen: "127.0.0.1:$(port "$1" monitoring)"}
			gateway:
			  listen: 127.0.0.1:$(port "$1" gateway)
			  advertise: $(road "$1")
			  tls: {cert: $DIR/tls/gateway.crt, key: $DIR/tls/gateway.key, ca: $DIR/tls/ca.crt, timeout: 10s}
			  reject_unknown: true
			  remotes:
			$REMOTES
		END
		[ -z "${BORDER:-}" ] || echo "border: $BORDER"
	} >"$DIR/$1/gwd.yaml"
}

# write_again NAME REGION: the settings of a daemon of the regions, now with the
# ports on which it listens: so it comes back where the others look for it.
write_again() {
	case $1 in
	*/hub-*) write_hub "$1" "$2" ;;
	*/gw-*) write_border "$1" "$2" ;;
	*/edge-*) write_edge "$1" "$2" ;;
	esac
}
