#!/bin/sh
# Restarts the daemons of a list one after the other, so that they run what is installed now: hubs, then border nodes, then
# edges, region by region. Each is sent away gently (lame duck), started again and waited for before the next is touched.
# docs/UPGRADES.md says why in this order, and what applications have to do to notice nothing.
#
#   scripts/rolling-upgrade.sh [options] INVENTORY
#
#   --dry-run            say what would be done, ask nodes and check settings, change nothing
#   --only ROLE          hub, gwd or leaf
#   --json               at the end, a summary on stdout; everything else goes to stderr
#   --bin FILE           the hubd (or gwd, leafd) with which nodes are asked       (hubd on PATH, or bin/hubd)
#   --drain-timeout S    a node may take so long to leave                          (180)
#   --start-timeout S    and so long to be back with all its links                 (60)
#   --pause S            between two nodes                                         (2)
#   --progress FILE      what is done already, and by which version                (INVENTORY.progress)
#   --fresh              forget what was done before; happens by itself when --bin has another version than that run had
#
# The inventory is plain text, a node a line; "#" begins a comment, "[NAME]" a region:
#
#   [sfo]
#   hub-sfo-0  hub   127.0.0.1:8222   local   /run/hubd/hubd.pid /usr/bin/hubd -c /etc/hubd/hubd.yaml
#   hub-sfo-1  hub   10.0.0.5:8222    systemd root@10.0.0.5 hubd
#   gw-sfo-0   gwd   -                kubectl banyan gw-sfo-0
#   edge-1     leaf  10.0.7.1:8222    sh      ssh e1 leafd check -c l.yaml ;; ssh e1 ./drain ;; ssh e1 ./start
#
# that is: name, role, HTTP port ("-": not to be asked, whoever starts it knows when it is ready), and how it is reached:
#
#   local PIDFILE COMMAND...   a process here: SIGUSR2, and the command again in the background
#   systemd HOST UNIT          "systemctl stop" and "start" there by ssh (HOST "-": here), as root. The units of hubd and gwd drain
#                              at a stop (KillSignal=SIGUSR2). That of leafd does not: it cuts clients off without a warning,
#                              unless a drop-in says KillSignal=SIGUSR2 and TimeoutStopSec=150
#   kubectl NAMESPACE POD      the pod is deleted (its preStop hook drains) and made again by its controller
#   sh CHECK ;; DRAIN ;; START any three commands. DRAIN ends when the process is gone; CHECK may be "true"
#
# SSH, KUBECTL and SYSTEMCTL in the environment stand in for these commands, with their flags. CHECK stands in for the check
# of a systemd node: a command for the shell of that machine, in which $unit is the unit. Without it the check that the unit
# itself does before a start is run there, with the variables of /etc/default/UNIT: the "UNIT check" of its ExecStartPre, or
# "UNIT check -c /etc/UNIT/UNIT.yaml". What else the unit is given (credentials, Environment=) that does not see.
#
# When a node does not come back the script stops: all others run on. Once that node is repaired, or simply again, the same
# command goes on where it stopped. Exit codes: 0 all done, 2 wrong usage or inventory, 3 settings that the new binary
# refuses, 4 a node did not leave in time, 5 a node did not come back, or was not well before; 130 interrupted.
set -u

SSH=${SSH:-ssh}
KUBECTL=${KUBECTL:-kubectl}
SYSTEMCTL=${SYSTEMCTL:-systemctl}
CLI=
DRY=
ONLY=
JSON=
FRESH=
DRAIN_TIMEOUT=180
START_TIMEOUT=60
PAUSE=2
PROGRESS=
INVENTORY=
ROLES="hub gwd leaf"
# of the line of the inventory that is at hand; split_line sets them
name=
role=
monitor=
how=

usage() { sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"; }
wrong() {
	printf 'rolling-upgrade: %s\n' "$*" >&2
	exit 2
}
seconds() {
	case $2 in
	'' | *[!0-9]*) wrong "$1 takes a number of seconds, not \"$2\"" ;;
	esac
}
while [ $# -gt 0 ]; do
	case $1 in
	--only | --bin | --drain-timeout | --start-timeout | --pause | --progress)
		[ $# -ge 2 ] || wrong "$1 needs a value"
		;;
	esac
	case $1 in
	-h | --help) usage && exit 0 ;;
	--dry-run) DRY=yes ;;
	--json) JSON=yes ;;
	--fresh) FRESH=yes ;;
	--only) ONLY=$2 && shift ;;
	--bin) CLI=$2 && shift ;;
	--drain-timeout) seconds "$1" "$2" && DRAIN_TIMEOUT=$2 && shift ;;
	--start-timeout) seconds "$1" "$2" && START_TIMEOUT=$2 && shift ;;
	--pause) seconds "$1" "$2" && PAUSE=$2 && shift ;;
	--progress) PROGRESS=$2 && shift ;;
	-*) wrong "unknown option $1; --help lists them" ;;
	*)
		[ -z "$INVENTORY" ] || wrong "one inventory, not \"$INVENTORY\" and \"$1\""
		INVENTORY=$1
		;;
	esac
	shift
done
[ -n "$INVENTORY" ] || wrong "which inventory? --help shows what it looks like"
[ -r "$INVENTORY" ] || wrong "the inventory $INVENTORY can't be read"
case $ONLY in
'' | hub | gwd | leaf) ;;
*) wrong "--only takes hub, gwd or leaf, not \"$ONLY\"" ;;
esac
if [ -z "$CLI" ]; then
	CLI=$(command -v hubd) || CLI=$(cd "$(dirname "$0")/.." && pwd)/bin/hubd
fi
[ -x "$CLI" ] || command -v "$CLI" >/dev/null || wrong "no hubd to ask the nodes with: name it with --bin"
PROGRESS=${PROGRESS:-$INVENTORY.progress}

# --- what is said -------------------------------------------------------------

if [ -n "$JSON" ]; then
	exec 3>&1 1>&2
fi
say() { printf '%s\n' "$*"; }
now() { date +%s; }
STARTED=$(now)
SUMMARY=
REASON=

# text as a JSON string, without what can't be printed.
quoted() { printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g')"; }

# note STATE [KEY NUMBER]...: one node more in the summary.
note() {
	note_text="{\"name\":$(quoted "$name"),\"role\":\"$role\",\"region\":$(quoted "$region"),\"state\":\"$1\",\"from\":$(quoted "${from:-}"),\"to\":$(quoted "${to:-}")"
	shift
	while [ $# -ge 2 ]; do
		note_text="$note_text,\"$1\":$2"
		shift 2
	done
	SUMMARY="${SUMMARY:+$SUMMARY,}$note_text}"
}

finish() {
	code=$?
	trap - EXIT INT TERM HUP
	rm -f "$PLAN"
	[ -z "$JSON" ] ||
		printf '{"ok":%s,"exit":%d,"dry_run":%s,"seconds":%d,"reason":%s,"nodes":[%s]}\n' "$([ $code -eq 0 ] && echo true || echo false)" \
			$code "$([ -n "$DRY" ] && echo true || echo false)" $(($(now) - STARTED)) "$(quoted "$REASON")" "$SUMMARY" >&3
	exit $code
}
PLAN=$(mktemp "${TMPDIR:-/tmp}/rolling-upgrade.XXXXXX") || exit 1
trap finish EXIT
trap 'REASON=interrupted; say "interrupted; the same command goes on from here"; exit 130' INT TERM HUP

# fail CODE TEXT: stops here. The rest has not been touched.
fail() {
	fail_code=$1
	shift
	REASON=$*
	printf 'rolling-upgrade: %s\n' "$*" >&2
	exit "$fail_code"
}

# --- the plan -----------------------------------------------------------------

# Region by region in the order of the file, in each the hubs, then the border nodes, then the edges.
awk -v only="$ONLY" -v roles="$ROLES" -v file="$INVENTORY" '
	BEGIN { n = split(roles, order, " "); region = "" ; regions = 1; names[1] = "" }
	{ sub(/^[ \t]+/, ""); sub(/[ \t\r]+$/, "") }
	/^#/ || /^$/ { next }
	/^\[.*\]$/ { region = substr($0, 2, length($0) - 2); names[++regions] = region; next }
	{
		where = file ", line " NR ": "
		if (NF < 5) { print where "want NAME ROLE MONITOR HOW ARGUMENTS..., not: " $0 > "/dev/stderr"; bad = 1; next }
		if ($2 != "hub" && $2 != "gwd" && $2 != "leaf") { print where "the role is hub, gwd or leaf, not " $2 > "/dev/stderr"; bad = 1; next }
		if ($4 != "local" && $4 != "systemd" && $4 != "kubectl" && $4 != "sh") {
			print where "a node is reached by local, systemd, kubectl or sh, not " $4 > "/dev/stderr"; bad = 1; next }
		if ($4 == "local" && NF < 6 || ($4 == "systemd" || $4 == "kubectl") && NF != 6) {
			print where "the wrong number of words behind " $4 > "/dev/stderr"; bad = 1; next }
		if ($4 == "sh" && split($0, parts, /[ \t];;[ \t]/) != 3) {
			print where "sh wants CHECK ;; DRAIN ;; START" > "/dev/stderr"; bad = 1; next }
		if (seen[$1]++) { print where "there is a node " $1 " already" > "/dev/stderr"; bad = 1; next }
		line = $0; key = regions SUBSEP $2
		lists[key] = lists[key] (region == "" ? "-" : region) " " line "\n"
	}
	END {
		if (bad) exit 1
		for (r = 1; r <= regions; r++)
			for (i = 1; i <= n; i++)
				if (only == "" || only == order[i]) printf "%s", lists[r, order[i]]
	}' "$INVENTORY" >"$PLAN" || {
	REASON="the inventory is wrong"
	exit 2
}
[ -s "$PLAN" ] || fail 2 "no node of $INVENTORY is meant"

# split_line LINE: name, role and so on of a line of the plan.
split_line() {
	region=${1%% *} && rest=${1#* }
	for split_word in name role monitor how; do
		eval "$split_word=\${rest%%[ 	]*}"
		rest=${rest#*[ 	]}
		while :; do
			case $rest in
			[\ \	]*) rest=${rest#?} ;;
			*) break ;;
			esac
		done
	done
	from='' to=''
	case $how in
	local) pidfile=${rest%%[ 	]*} command=${rest#*[ 	]} ;;
	systemd | kubectl) place=${rest%%[ 	]*} unit=${rest##*[ 	]} ;;
	sh)
		check=${rest%%;;*} rest=${rest#*;;}
		drain=${rest%%;;*} start=${rest#*;;}
		;;
	esac
}

# --- what was done already ----------------------------------------------------

# The first line of the progress is the version that is being put in: what was done for another one is not done.
VERSION=$("$CLI" version 2>/dev/null | head -n 1)
recorded=
[ ! -f "$PROGRESS" ] || recorded=$(sed -n '1s/^version //p' "$PROGRESS")
if [ -f "$PROGRESS" ] && [ "$recorded" != "$VERSION" ]; then
	say "$PROGRESS is of another upgrade, to ${recorded:-an unknown version}: begins afresh"
	FRESH=yes
fi
if [ -n "$FRESH" ]; then
	if [ -n "$DRY" ]; then
		PROGRESS=$PLAN.none
	else
		rm -f "$PROGRESS"
	fi
fi

is_done() { [ -f "$PROGRESS" ] && grep -q "^done $name\$" "$PROGRESS"; }
# wanted: what the node had before it was first touched: routes gateways leafs id version.
wanted() {
	[ -f "$PROGRESS" ] && sed -n "s/^want $name //p" "$PROGRESS" | tail -n 1
}
remember() {
	[ -f "$PROGRESS" ] || printf 'version %s\n' "$VERSION" >"$PROGRESS" || fail 1 "$PROGRESS can't be written"
	printf '%s\n' "$*" >>"$PROGRESS" || fail 1 "$PROGRESS can't be written"
}

# --- asking nodes -------------------------------------------------------------

# of KEY PATTERN: the value of a key of /varz in the answer, "-" if there is none.
of() {
	# shellcheck disable=SC2020 # two separators
	of_value=$(printf '%s' "${look_status#*\"varz\":}" | tr ',{' '\n\n' | sed -n "s/^ *\"$1\": *\"\{0,1\}\($2\).*/\1/p" | head -n 1)
	printf '%s' "${of_value:--}"
}

# look: what the node has now, as in wanted; fails when it does not answer or is not well.
look() {
	look_status=$("$CLI" status --json --limit 1 --http "$monitor" 2>&1) || {
		printf '%s' "$look_status" | tail -n 1
		return 1
	}
	look_gateways=0 look_leafs=0 # leaf links of a hub come and go
	case $role in
	gwd) look_gateways=$("$CLI" gateways --http "$monitor" 2>/dev/null | awk '$2 == "out"' | wc -l) ;;
	leaf) look_leafs=$(of leafnodes '[0-9]*') ;;
	esac
	look_routes=$(of remotes '[0-9][0-9]*')
	printf '%d %d %d %s %s\n' "$look_routes" "$look_gateways" "$look_leafs" "$(of server_id '[^",}]*')" "$(of x_banyan '[^",}]*')"
}

# back: waits until the node is ready and has what it had before.
back() {
	if [ "$monitor" = - ]; then
		return 0
	fi
	# shellcheck disable=SC2086 # five words
	set -- $want
	"$CLI" wait --ready --routes "$1" --gateways "$2" --leafs "$3" --timeout "${START_TIMEOUT}s" --http "$monitor" || return 1
	after=$(look) || return 1
	# shellcheck disable=SC2086
	set -- $want $after
	[ "$4" != "$9" ] || {
		echo "it still is the process that was to be restarted" >&2
		return 1
	}
	shift 9
	to=${1:-}
}

# --- changing them ------------------------------------------------------------

on() { # HOST COMMAND: here or there
	if [ "$1" = - ] || [ "$1" = localhost ]; then
		sh -c "$2"
	else
		# shellcheck disable=SC2086 # SSH may have flags
		$SSH "$1" "$2"
	fi
}

# unit_check: what the shell of a unit's machine runs to check its settings. The variables are read as systemd reads them,
# which a shell would not: what stands in a value is not run.
unit_check() {
	cat <<'END'
if [ -r "/etc/default/${unit%.service}" ]; then
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in [A-Za-z_]*=*) ;; *) continue ;; esac
		variable=${line%%=*} value=${line#*=}
		case $variable in *[!A-Za-z0-9_]*) continue ;; esac
		case $value in
		\"*\") value=${value#\"} value=${value%\"} ;;
		\'*\') value=${value#\'} value=${value%\'} ;;
		esac
		export "$variable=$value"
	done <"/etc/default/${unit%.service}"
fi
check=$($systemctl cat "$unit" 2>/dev/null | sed -n 's/^ExecStartPre=[-+!@:]*\(.* check -c .*\)/\1/p' | tail -n 1)
${check:-${unit%.service} check -c /etc/${unit%.service}/${unit%.service}.yaml}
END
}

# check_node: would the new binary accept the node's settings?
check_node() {
	case $how in
	local)
		# shellcheck disable=SC2086 # words
		set -- $command
		check_exe=$1 check_file=
		while [ $# -gt 0 ]; do
			case $1 in
			-c | --config) check_file=${2:-} ;;
			--config=*) check_file=${1#*=} ;;
			esac
			shift
		done
		[ -n "$check_file" ] || return 0 # flags alone: they are checked at the start
		"$check_exe" check -c "$check_file"
		;;
	systemd) on "$place" "unit='$unit' systemctl='$SYSTEMCTL'
${CHECK:-$(unit_check)}" ;;
	kubectl) $KUBECTL -n "$place" get pod "$unit" >/dev/null ;; # the chart has checked its settings
	sh) sh -c "$check" ;;
	esac
}

pid_of() { [ -r "$pidfile" ] && tr -cd 0-9 <"$pidfile"; }
# gone PID: the process has ended, even if nobody has asked for its exit code yet. Without a ps that says so, /proc does,
# and a process of which nothing is known but that it can be signalled is not gone.
gone() {
	kill -0 "$1" 2>/dev/null || return 0
	case $(ps -o stat= -p "$1" 2>/dev/null || sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) in
	Z*) return 0 ;;
	'') ! kill -0 "$1" 2>/dev/null && return 0 ;;
	esac
	return 1
}
await_gone() {
	await_end=$(($(now) + DRAIN_TIMEOUT))
	until gone "$1"; do
		[ "$(now)" -lt "$await_end" ] || return 1
		sleep 0.1
	done
}

# leave: sends the node away and waits until it is gone. One that does not run has left.
leave() {
	case $how in
	local)
		leave_pid=$(pid_of)
		[ -n "$leave_pid" ] && ! gone "$leave_pid" || return 0
		kill -USR2 "$leave_pid" && await_gone "$leave_pid"
		;;
	systemd) on "$place" "$SYSTEMCTL stop $unit" ;; # leafd's unit does not drain, see the top
	kubectl) $KUBECTL -n "$place" delete pod "$unit" --wait=true --timeout="${DRAIN_TIMEOUT}s" ;;
	sh) sh -c "$drain" ;;
	esac
}

begin() {
	case $how in
	local)
		nohup sh -c "exec $command" </dev/null >>"${pidfile%.pid}.out" 2>&1 3>&- 4<&- &
		echo $! >"$pidfile"
		;;
	systemd) on "$place" "$SYSTEMCTL start $unit" ;;
	kubectl)
		begin_end=$(($(now) + START_TIMEOUT))
		until $KUBECTL -n "$place" get pod "$unit" >/dev/null 2>&1; do
			[ "$(now)" -lt "$begin_end" ] || return 1
			sleep 1
		done
		$KUBECTL -n "$place" wait --for=condition=Ready "pod/$unit" --timeout="${START_TIMEOUT}s"
		;;
	sh) sh -c "$start" ;;
	esac
}

# --- before anything is touched -----------------------------------------------

total=0
while IFS= read -r line <&4; do
	total=$((total + 1))
	split_line "$line"
	if is_done; then
		continue
	fi
	checked=$(check_node 2>&1) || fail 3 "$name: the new binary does not accept its settings; nothing was touched: $checked"
	if [ "$monitor" = - ]; then
		want="0 0 0 - -"
	elif want=$(wanted) && [ -n "$want" ]; then
		: # it was touched by the run before, and may be down
	elif ! want=$(look); then
		fail 5 "$name is not well, so nothing was touched: $want"
	fi
	# shellcheck disable=SC2086 # five words
	set -- $want
	say "$name ($role${region:+ of $region}): version ${5:-?}, $1 routes, $2 regions$([ "$role" != leaf ] || echo ", $3 leaf links")"
done 4<"$PLAN"

if [ -n "$DRY" ]; then
	say
	say "These would be restarted, in this order:"
	number=0
	while IFS= read -r line <&4; do
		split_line "$line"
		if is_done; then
			continue
		fi
		number=$((number + 1))
		say "$(printf '%3d  %-16s %-5s %s' $number "$name" "$role" "$how $rest")"
		note planned
	done 4<"$PLAN"
	exit 0
fi

# --- one by one ---------------------------------------------------------------

number=0
first=yes
while IFS= read -r line <&4; do
	number=$((number + 1))
	split_line "$line"
	if is_done; then
		say "[$number/$total] $name: done before"
		note skipped
		continue
	fi
	[ -n "$first" ] || sleep "$PAUSE"
	first=
	want=$(wanted)
	if [ -z "$want" ]; then
		if [ "$monitor" = - ]; then
			want="0 0 0 - -"
		else
			want=$(look) || fail 5 "$name is not well any more, and so is not touched: $want"
		fi
		remember "want $name $want"
	fi
	# shellcheck disable=SC2086
	set -- $want
	from=${5:-}
	say "[$number/$total] $name: is asked to leave"
	left=$(now)
	if ! leave; then
		note failed
		fail 4 "$name has not left within $DRAIN_TIMEOUT s. It still runs; the nodes after it are untouched. Look at its log, then run this again"
	fi
	gone_at=$(now)
	if ! begin; then
		note failed drain_seconds $((gone_at - left))
		fail 5 "$name can't be started. The nodes after it are untouched; run this again once it can"
	fi
	if ! back; then
		note failed drain_seconds $((gone_at - left))
		fail 5 "$name has not come back within $START_TIMEOUT s with the links that it had. The nodes after it are untouched. Look at its log; run this again once it is repaired"
	fi
	back_at=$(now)
	say "[$number/$total] $name: left in $((gone_at - left)) s, back in $((back_at - gone_at)) s${to:+, version $from -> $to}"
	note "done" drain_seconds $((gone_at - left)) start_seconds $((back_at - gone_at))
	remember "done $name"
done 4<"$PLAN"
rm -f "$PROGRESS"
say "All $total are restarted, in $(($(now) - STARTED)) s"
