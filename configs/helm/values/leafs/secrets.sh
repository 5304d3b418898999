#!/bin/sh
# The Secrets that the values beside this file name.
#
#   sh secrets.sh make DIR             makes them: a directory DIR/CLUSTER/SECRET for each, with a file for each key
#   sh secrets.sh apply DIR CLUSTER    puts those of a cluster (core, sfo, ams, sgp) into the one that kubectl speaks with
#
# Needs hubd on the PATH (or in HUBD) and, to apply, kubectl. What is there already stays. The operator's key in DIR/operator
# makes users of everything: keep it where you keep such things. EXTRA_HOSTS are further names for the certificate.
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

make() {
	op="$dir/operator"
	"$HUBD" keys operator --dir "$op" --name Example >/dev/null
	"$HUBD" keys account --dir "$op" --name APP >/dev/null
	"$HUBD" keys user --dir "$op" --account APP --name app >/dev/null
	for r in $REGIONS; do
		"$HUBD" keys user --dir "$op" --account APP --name "$r" --connection-type leafnode >/dev/null
	done
	# core: the operator and its accounts, a certificate for the leaf listener, and who the box is
	mkdir -p "$dir/core/banyan-resolver" "$dir/core/banyan-leafnodes-tls" "$dir/core/banyan-app-creds"
	cp "$op/resolver.conf" "$dir/core/banyan-resolver/resolver.conf"
	cp "$op/creds/APP/app.creds" "$dir/core/banyan-app-creds/app.creds"
	set -- $(for h in leaf.core.example.net banyan.default.svc ${EXTRA_HOSTS:-}; do printf -- '--host\n%s\n' "$h"; done)
	"$HUBD" keys tls --dir "$dir/authority" --name leafnodes "$@" >/dev/null
	cp "$dir/authority/leafnodes.crt" "$dir/core/banyan-leafnodes-tls/tls.crt"
	cp "$dir/authority/leafnodes.key" "$dir/core/banyan-leafnodes-tls/tls.key"
	cp "$dir/authority/ca.crt" "$dir/core/banyan-leafnodes-tls/ca.crt"
	for r in $REGIONS; do
		# who the region is in core, and whom it trusts
		mkdir -p "$dir/$r/banyan-core-creds" "$dir/$r/banyan-ca"
		cp "$op/creds/APP/$r.creds" "$dir/$r/banyan-core-creds/$r.creds"
		cp "$dir/authority/ca.crt" "$dir/$r/banyan-ca/ca.crt"
		# its own accounts
		password | keep "$dir/passwords/$r"
		keep "$dir/$r/banyan-accounts/accounts.conf" <<-EOF
			accounts {
			  APP { users: [{user: app, password: "$(cat "$dir/passwords/$r")"}] }
			}
		EOF
		printf app | keep "$dir/$r/banyan-app/user"
		keep "$dir/$r/banyan-app/password" <"$dir/passwords/$r"
	done
	echo "the Secrets are in $dir"
}

apply() {
	for s in "$dir/$1"/*/; do
		kubectl create secret generic "$(basename "$s")" --from-file="$s" --dry-run=client -o yaml | kubectl apply -f -
	done
}

case "${1:-} $#" in
"make 2") dir=$2 && make ;;
"apply 3") dir=$2 && apply "$3" ;;
*) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
