#!/bin/sh
# The Secrets that the values beside this file name.
#
#   sh secrets.sh make DIR             makes them: a directory DIR/CLUSTER/SECRET for each, with a file for each key
#   sh secrets.sh apply DIR CLUSTER    puts those of a cluster (core, sfo, ams, sgp) into the one that kubectl speaks with
#
# Needs hubd on the PATH (or in HUBD) and, to apply, kubectl. What is there already stays. The operator's key in DIR/operator
# makes users of everything: keep it where you keep such things. EXTRA_HOSTS are further names for the certificate.
. "$(dirname "$0")/../secrets-lib.sh"

make() {
	op="$dir/operator"
	"$HUBD" keys operator --dir "$op" --name Example >/dev/null
	"$HUBD" keys account --dir "$op" --name APP >/dev/null
	"$HUBD" keys user --dir "$op" --account APP --name app >/dev/null
	for r in $REGIONS; do
		"$HUBD" keys user --dir "$op" --account APP --name "$r" --connection-type leafnode >/dev/null
	done
	# core: the operator and its accounts, a certificate for the leaf listener, and who the box is
	mkdir -p "$dir/core/banyan-resolver" "$dir/core/banyan-app-creds"
	cp "$op/resolver.conf" "$dir/core/banyan-resolver/resolver.conf"
	cp "$op/creds/APP/app.creds" "$dir/core/banyan-app-creds/app.creds"
	certificate "$dir/core/banyan-leafnodes-tls" leafnodes leaf.core.example.net banyan.default.svc
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

main "$@"
