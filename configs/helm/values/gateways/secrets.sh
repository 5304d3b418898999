#!/bin/sh
# The Secrets that the values beside this file name.
#
#   sh secrets.sh make DIR             makes them: a directory DIR/REGION/SECRET for each, with a file for each key
#   sh secrets.sh apply DIR REGION     puts those of a region into the cluster and namespace that kubectl speaks with
#
# Needs hubd on the PATH (or in HUBD) and, to apply, kubectl. What is there already stays. The authority and the passwords in
# DIR open everything: keep them where you keep such things. EXTRA_HOSTS are further names for all certificates.
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

# certificate SECRET NAME HOST...: from the authority in $dir/authority
certificate() {
	secret=$1 name=$2
	shift 2
	set -- $(for h in "$@" ${EXTRA_HOSTS:-}; do printf -- '--host\n%s\n' "$h"; done)
	"$HUBD" keys tls --dir "$dir/authority" --name "$name" --both "$@" >/dev/null
	mkdir -p "$secret"
	cp "$dir/authority/$name.crt" "$secret/tls.crt"
	cp "$dir/authority/$name.key" "$secret/tls.key"
	cp "$dir/authority/ca.crt" "$secret/ca.crt"
}

make() {
	password | keep "$dir/passwords/gateway"
	password | keep "$dir/passwords/sys"
	password | keep "$dir/passwords/app"
	for r in $REGIONS; do
		# what gateways show each other, and their certificates
		printf gateway | keep "$dir/$r/banyan-gateway/user"
		keep "$dir/$r/banyan-gateway/password" <"$dir/passwords/gateway"
		certificate "$dir/$r/banyan-gateway-tls" "gateway-$r" "gw.$r.example.net"
		# routes between the pods of a region
		certificate "$dir/$r/banyan-cluster-tls" "cluster-$r" "*.banyan-headless"
		# accounts and their users, the same in all regions
		keep "$dir/$r/banyan-accounts/accounts.conf" <<-EOF
			accounts {
			  SYS { users: [{user: sys, password: "$(cat "$dir/passwords/sys")"}] }
			  APP { users: [{user: app, password: "$(cat "$dir/passwords/app")"}] }
			}
			system_account: SYS
		EOF
		# who the box and "helm test" are
		printf app | keep "$dir/$r/banyan-app/user"
		keep "$dir/$r/banyan-app/password" <"$dir/passwords/app"
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
