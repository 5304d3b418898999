# What the secrets.sh of all worked values share; sourced by them. They say what is in $dir and call main.
set -eu
umask 077
HUBD=${HUBD:-hubd}
REGIONS="sfo ams sgp"

password() { head -c 24 /dev/urandom | base64 | tr -d '/+=\n'; }

# keep FILE: writes stdin to it unless it is there
keep() {
	mkdir -p "$(dirname "$1")"
	[ -s "$1" ] || cat >"$1"
}

# certificate SECRET NAME HOST... [-- FLAG...]: from the authority in $dir/authority, with further flags of "hubd keys tls"
certificate() {
	secret=$1 name=$2
	shift 2
	hosts=
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		hosts="$hosts $1"
		shift
	done
	[ $# = 0 ] || shift
	set -f # a host may be *.something
	for h in $hosts ${EXTRA_HOSTS:-}; do set -- "$@" --host "$h"; done
	set +f
	"$HUBD" keys tls --dir "$dir/authority" --name "$name" "$@" >/dev/null
	mkdir -p "$secret"
	cp "$dir/authority/$name.crt" "$secret/tls.crt"
	cp "$dir/authority/$name.key" "$secret/tls.key"
	cp "$dir/authority/ca.crt" "$secret/ca.crt"
}

apply() {
	for s in "$dir/$1"/*/; do
		kubectl create secret generic "$(basename "$s")" --from-file="$s" --dry-run=client -o yaml | kubectl apply -f -
	done
}

# main "$@": what the script was asked for; its usage is its own first lines
main() {
	case "${1:-} $#" in
	"make 2") dir=$2 && make ;;
	"apply 3") dir=$2 && apply "$3" ;;
	*) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
	esac
}
