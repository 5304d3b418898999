# Publishers, subscribers and what is counted. Sourced by scripts/demo.sh.
#
# Messages are "PUBLISHER NUMBER", numbered from 1, so that a subscriber's output
# shows what is missing, doubled or out of order.

# subscribe NAME AT SUBJECT: a subscriber at a daemon, until it is stopped.
subscribe() { start "$1" "$BIN/hubd" sub "$3" --raw -s "$(url "$2")"; }

# reach FROM SUBJECT PUBLISHER SUBSCRIBER...: sends probes until each of the
# subscribers has got one: from then on it gets everything.
reach() {
	reach_from=$1 reach_subject=$2 reach_as=$3
	shift 3
	start "probe-$reach_as" "$BIN/hubd" pub "$reach_subject" "$reach_as 0" --rate 20 --count 2000 -s "$(url "$reach_from")"
	for reach_to in "$@"; do
		await "$PATIENCE" heard "$reach_to" "$reach_as" ||
			fail "nothing that is published at $reach_from reaches $reach_to"
	done
	stop "probe-$reach_as"
}
heard() { grep -q "^$2 " "$DIR/$1/out"; }

# numbers PUBLISHER COUNT: the lines to publish.
numbers() { awk -v as="$1" -v count="$2" 'BEGIN { for (i = 1; i <= count; i++) print as, i }'; }

# last SUBSCRIBER PUBLISHER: the number of the last message that came; 0: none.
last() { awk -v as="$2" '$1 == as { n = $2 } END { print n + 0 }' "$DIR/$1/out"; }
got() { [ "$(last "$1" "$2")" -ge "$3" ]; }

# tally SUBSCRIBER PUBLISHER SENT: "delivered missing doubled disordered longest",
# longest being the longest row of missing messages. Probes do not count.
tally() {
	awk -v as="$2" -v sent="$3" '
		$1 != as || $2 == 0 { next }
		seen[$2]++ { doubled++; next }
		{ delivered++ }
		$2 < last { disordered++ }
		{ last = $2 }
		END {
			for (i = 1; i <= sent; i++) {
				row = (i in seen) ? 0 : row + 1
				if (row > longest) longest = row
			}
			print delivered + 0, sent - delivered, doubled + 0, disordered + 0, longest + 0
		}' "$DIR/$1/out"
}
