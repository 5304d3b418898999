#!/bin/sh
# The Secrets that the values beside this file name.
#
#   sh secrets.sh make DIR             makes them: a directory DIR/REGION/SECRET for each, with a file for each key
#   sh secrets.sh apply DIR REGION     puts those of a region into the cluster and namespace that kubectl speaks with
#
# Needs hubd on the PATH (or in HUBD) and, to apply, kubectl. What is there already stays. The authority and the passwords in
# DIR open everything: keep them where you keep such things. EXTRA_HOSTS are further names for all certificates.
. "$(dirname "$0")/../secrets-lib.sh"

make() {
	password | keep "$dir/passwords/gateway"
	password | keep "$dir/passwords/sys"
	password | keep "$dir/passwords/app"
	for r in $REGIONS; do
		# what gateways show each other, and their certificates
		printf gateway | keep "$dir/$r/banyan-gateway/user"
		keep "$dir/$r/banyan-gateway/password" <"$dir/passwords/gateway"
		certificate "$dir/$r/banyan-gateway-tls" "gateway-$r" "gw.$r.example.net" -- --both
		# routes between the pods of a region
		certificate "$dir/$r/banyan-cluster-tls" "cluster-$r" "*.banyan-headless" -- --both
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

main "$@"
