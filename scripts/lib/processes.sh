# Processes: start, wait, kill, clean up. Sourced by scripts/demo.sh and scripts/regions.sh.
#
# Each process has a directory $DIR/NAME with its settings, its log, its process
# id (pid) and, for daemons, the file in which it says what it listens on.

# --- what is said -------------------------------------------------------------

say() { printf '%s\n' "$*"; }
saw() { printf '   %s\n' "$*"; }
scene() {
	SCENE=$1
	printf '\nScene %s: %s\n' "$1" "$2"
}

# fail TEXT: the scene went wrong. Settings and logs stay.
fail() {
	printf '\nFAILED%s: %s\n' "${SCENE:+ in scene $SCENE}" "$*" >&2
	exit 1
}

# --- waiting ------------------------------------------------------------------

now() { date +%s; }

# await SECONDS COMMAND...: until the command succeeds; fails when the time is over.
await() {
	await_time=$1
	shift
	"$@" && return
	await_end=$(($(now) + await_time))
	until "$@"; do
		[ "$(now)" -lt "$await_end" ] || return 1
		sleep 0.05
	done
}

pid() {
	pid=none
	[ ! -f "$DIR/$1/pid" ] || read -r pid <"$DIR/$1/pid"
	echo "$pid"
}
alive() {
	kill -0 "$(pid "$1")" 2>/dev/null || return 1
	# One that has ended may wait for somebody to ask for its exit code.
	case $(ps -o stat= -p "$(pid "$1")" 2>/dev/null) in
	Z*) return 1 ;;
	esac
}
gone() { ! alive "$1"; }

# lines NAME: how many lines the process has printed.
lines() { wc -l <"$DIR/$1/out"; }
has_lines() { [ "$(lines "$1")" -ge "$2" ]; }

# --- starting -----------------------------------------------------------------

# start NAME COMMAND...: a process in the background. What it prints goes to
# $DIR/NAME/out, its complaints to $DIR/NAME/log. Its stdin is $DIR/NAME/in if
# there is such a file or pipe, else empty.
start() {
	start_name=$1
	shift
	mkdir -p "$DIR/$start_name"
	start_stdin=/dev/null
	[ ! -e "$DIR/$start_name/in" ] || start_stdin=$DIR/$start_name/in
	"$@" <>"$start_stdin" >"$DIR/$start_name/out" 2>>"$DIR/$start_name/log" &
	echo $! >"$DIR/$start_name/pid"
	case " $STARTED " in
	*" $start_name "*) ;;
	*) STARTED="$STARTED $start_name" ;;
	esac
}

# launch NAME...: starts the daemons whose settings lie in their directories.
launch() {
	for launch_name in "$@"; do
		for launch_file in "$DIR/$launch_name"/*.yaml; do
			launch_daemon=${launch_file##*/}
			start "$launch_name" "$BIN/${launch_daemon%.yaml}" -c "$launch_file"
		done
	done
}

ports_file() { echo "$DIR/$1"/*d_"$(pid "$1")".ports; }
listens() { [ -s "$(ports_file "$1")" ] || gone "$1"; }

# up NAME...: waits until each daemon listens, and notes on which ports.
up() {
	for up_name in "$@"; do
		await "$PATIENCE" listens "$up_name" || fail "$up_name does not listen after $PATIENCE s"
		alive "$up_name" || fail "$up_name ended: $(tail -n 3 "$DIR/$up_name/log")"
		# {"nats":["nats://127.0.0.1:4222"],...} becomes lines like "nats 4222".
		tr '{]' '\n\n' <"$(ports_file "$up_name")" |
			sed -n 's/^,*"\([a-z]*\)":\["[^"]*:\([0-9]*\)".*/\1 \2/p' >"$DIR/$up_name/ports"
	done
}

# port NAME KIND: the port on which a daemon listens for nats (clients), cluster,
# leafnodes, gateway or monitoring. Before its first start: -1, any.
port() {
	[ -f "$DIR/$1/ports" ] || { echo -1; return; }
	while read -r port_kind port_number; do
		[ "$port_kind" != "$2" ] || { echo "$port_number"; return; }
	done <"$DIR/$1/ports"
	echo -1
}

# --- ending -------------------------------------------------------------------

# stop NAME...: asks those that run to end, waits until they have, and makes sure.
stop() {
	stop_names=
	for stop_name in "$@"; do
		[ -f "$DIR/$stop_name/pid" ] || continue
		kill "$(pid "$stop_name")" 2>/dev/null
		stop_names="$stop_names $stop_name"
	done
	for stop_name in $stop_names; do
		await 5 gone "$stop_name" || kill -9 "$(pid "$stop_name")" 2>/dev/null
		wait "$(pid "$stop_name")" 2>/dev/null
		rm -f "$DIR/$stop_name/pid"
	done
}

# murder NAME: kill -9. It has no chance to say goodbye.
murder() {
	kill -9 "$(pid "$1")"
	wait "$(pid "$1")" 2>/dev/null
	rm -f "$DIR/$1/pid"
}
