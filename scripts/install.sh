#!/bin/sh
# Installs hubd, gwd and leafd on this machine, from an unpacked release or a tree in which
# "make" was run, and takes them away again.
#
#   sh install.sh [options] [hubd] [gwd] [leafd]       without a name: all that are there
#
#   --from DIR      where the binaries are (default: beside this script, then the tree's bin/)
#   --prefix DIR    programs go to DIR/bin, pages to DIR/share (default: /usr/local); settings
#                   and services go below /etc in any case, so this needs root
#   --no-units      no service, no user: programs, pages and settings only
#   --dry-run       say what would be done, do nothing
#   --uninstall     remove programs, pages and services; settings, data and users stay
#
# DESTDIR=DIR in the environment puts everything below DIR and touches nothing of this
# machine: no users are made and no service is started or stopped.
#
# What it does, in this order, for each daemon:
#   1. checks the binary against SHA256SUMS if that file lies beside it
#   2. copies it to PREFIX/bin, under another name first, so that a running one is not disturbed
#   3. writes manual pages and completions, by asking the program for them
#   4. with systemd: makes the user, puts the service into /etc/systemd/system
#   5. writes /etc/NAME/NAME.yaml and /etc/default/NAME unless they exist; they are never overwritten
# It enables, starts and restarts nothing, and says how.
set -eu

prefix=/usr/local
from=
units=yes
dry=
action=install
daemons=
destdir=${DESTDIR:-}
here=$(cd "$(dirname "$0")" && pwd)

say() { printf '%s\n' "$*"; }
fail() {
	printf 'install.sh: %s\n' "$*" >&2
	exit 1
}

usage() { sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0"; }

# run does a command, or says it.
run() {
	if [ -n "$dry" ]; then
		say "would run: $*"
	else
		"$@"
	fi
}

while [ $# -gt 0 ]; do
	case $1 in
	--from) from=${2:?--from needs a directory} && shift ;;
	--from=*) from=${1#*=} ;;
	--prefix) prefix=${2:?--prefix needs a directory} && shift ;;
	--prefix=*) prefix=${1#*=} ;;
	--no-units) units= ;;
	--dry-run) dry=yes ;;
	--uninstall) action=uninstall ;;
	-h | --help) usage && exit 0 ;;
	hubd | gwd | leafd) daemons="$daemons $1" ;;
	*) fail "unknown argument $1; --help says what there is" ;;
	esac
	shift
done

case $prefix in
/*) ;;
*) fail "--prefix $prefix: an absolute path is needed, it stands in the services" ;;
esac
case $prefix in
*[!A-Za-z0-9_./-]*) fail "--prefix $prefix: only letters, digits and _ . / - can stand in a service's command" ;;
esac
bin=$destdir$prefix/bin
share=$destdir$prefix/share
system=$destdir/etc/systemd/system
[ -n "$destdir" ] || [ "$(uname -s)" = Linux ] || units=
[ -n "$destdir" ] || [ -d /etc/systemd ] || units=

# The machine's own services and users are touched only when nothing is staged.
live() { [ -z "$destdir" ]; }
systemd_runs() { live && [ -d /run/systemd/system ]; }

# source_of prints where a daemon's binary is; nothing if it is nowhere.
source_of() {
	os=$(uname -s | tr '[:upper:]' '[:lower:]')
	case $(uname -m) in
	x86_64 | amd64) arch=amd64 ;;
	aarch64 | arm64) arch=arm64 ;;
	arm*) arch=arm ;;
	*) arch=$(uname -m) ;;
	esac
	for dir in ${from:+"$from" "$from/bin"} ${from:-"$here" "$here/bin" "$here/../bin"}; do
		for f in "$dir/$1" "$dir/$1"-*-"$os-$arch"; do
			[ -f "$f" ] && [ -x "$f" ] && say "$f" && return 0
		done
	done
	return 0
}

# shipped prints where a file lies that comes with the release: beside this script, or in the tree.
shipped() {
	for dir in ${from:+"$from/$1"} "$here/$1" "$here/../configs/$1"; do
		[ -f "$dir/$2" ] && say "$dir/$2" && return 0
	done
	fail "$1/$2 is missing: it comes with the release, beside this script"
}

sum_of() {
	if command -v sha256sum >/dev/null; then
		sha256sum "$1"
	else
		shasum -a 256 "$1"
	fi | cut -d ' ' -f 1
}

verify() {
	sums=$(dirname "$1")/SHA256SUMS
	[ -f "$sums" ] || return 0
	name=$(basename "$1")
	wanted=$(awk -v n="$name" '{ f = $2; sub(/^\*/, "", f); sub(/^\.\//, "", f); if (f == n) print $1 }' "$sums")
	[ -n "$wanted" ] || fail "$sums does not name $name: it belongs to something else, or the file does"
	[ "$(sum_of "$1")" = "$wanted" ] || fail "$1 is not what $sums says it is: nothing was installed"
	say "$name: checksum is right"
}

# put copies a file so that nobody ever sees half of one.
put() { # MODE SOURCE TARGET
	say "$3"
	[ -z "$dry" ] || return 0
	mkdir -p "$(dirname "$3")"
	cp "$2" "$3.new$$"
	chmod "$1" "$3.new$$"
	mv -f "$3.new$$" "$3"
}

# put_settings copies a file that is the administrator's as soon as it is there.
put_settings() { # MODE SOURCE TARGET GROUP
	if [ -e "$3" ] || [ -L "$3" ]; then
		say "$3 stays as it is"
		return 0
	fi
	put "$1" "$2" "$3"
	if live && getent group "$4" >/dev/null 2>&1; then
		run chgrp "$4" "$3"
	fi
}

not_of_a_package() {
	live || return 0
	command -v dpkg-query >/dev/null || return 0
	if dpkg-query -S "$prefix/bin/$1" >/dev/null 2>&1; then
		fail "$prefix/bin/$1 belongs to a Debian package: use apt, or another --prefix"
	fi
}

# A service in /etc/systemd/system would hide that of a package, upgrade after upgrade.
no_packaged_unit() {
	live || return 0
	[ -n "$units" ] || return 0
	command -v dpkg-query >/dev/null || return 0
	# shellcheck disable=SC2016 # dpkg-query's variable
	if [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; then
		fail "the Debian package $1 is installed, and its service would be hidden: use apt, remove it, or give --no-units"
	fi
}

make_user() {
	live || return 0
	if getent passwd "$1" >/dev/null; then return 0; fi
	say "user $1"
	run useradd --system --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin "$1"
}

pages() {
	# A program for another machine cannot be asked.
	if [ -z "$dry" ] && ! "$bin/$1" version >/dev/null 2>&1; then
		say "$1 does not run here: no manual pages, no completions"
		return 0
	fi
	say "$share/man/man8/$1*.8 and completions"
	[ -z "$dry" ] || return 0
	mkdir -p "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
	"$bin/$1" docs man "$share/man/man8"
	"$bin/$1" completion bash >"$share/bash-completion/completions/$1"
	"$bin/$1" completion zsh >"$share/zsh/site-functions/_$1"
	"$bin/$1" completion fish >"$share/fish/vendor_completions.d/$1.fish"
}

unit() {
	source=$(shipped systemd "$1.service")
	edited=$(mktemp)
	sed "s|/usr/bin/$1|$prefix/bin/$1|" "$source" >"$edited"
	put 644 "$edited" "$system/$1.service"
	rm -f "$edited"
}

install_one() {
	settings=$(shipped debian "$1.yaml")
	environment=$(shipped debian "$1.default")
	put 755 "$2" "$bin/$1"
	pages "$1"
	if [ -n "$units" ]; then
		make_user "$1"
		unit "$1"
		put_settings 640 "$environment" "$destdir/etc/default/$1" root
	fi
	put_settings 640 "$settings" "$destdir/etc/$1/$1.yaml" "$1"
}

uninstall_one() {
	not_of_a_package "$1"
	if systemd_runs && [ -e "$system/$1.service" ]; then
		run systemctl disable --now "$1.service"
	fi
	for f in "$bin/$1" "$system/$1.service" "$share/bash-completion/completions/$1" "$share/zsh/site-functions/_$1" \
		"$share/fish/vendor_completions.d/$1.fish" "$share/man/man8/$1.8" "$share/man/man8/$1"-*.8; do
		if [ -e "$f" ] || [ -L "$f" ]; then
			say "remove $f"
			[ -n "$dry" ] || rm -f "$f"
		fi
	done
	for kept in "/etc/$1" "/etc/default/$1" "/var/lib/$1" "/var/log/$1"; do
		if [ -e "$destdir$kept" ]; then say "$destdir$kept stays"; fi
	done
	if live && getent passwd "$1" >/dev/null; then say "user $1 stays"; fi
}

if [ -z "$dry" ] && live && [ "$(id -u)" -ne 0 ]; then
	fail "it writes below /etc: run it as root, or set DESTDIR"
fi

if [ "$action" = uninstall ]; then
	for d in ${daemons:-hubd gwd leafd}; do
		uninstall_one "$d"
	done
	if systemd_runs; then run systemctl daemon-reload; fi
	exit 0
fi

# All binaries are found and checked before the first is installed.
found=
for d in ${daemons:-hubd gwd leafd}; do
	f=$(source_of "$d")
	if [ -z "$f" ]; then
		[ -z "$daemons" ] || fail "$d is not there: look for it with --from DIR, or build it with make"
		continue
	fi
	verify "$f"
	not_of_a_package "$d"
	no_packaged_unit "$d"
	found="$found $d"
done
[ -n "$found" ] || fail "there is no hubd, gwd or leafd: look for them with --from DIR, or build them with make"
for d in $found; do
	install_one "$d" "$(source_of "$d")"
done
if systemd_runs && [ -n "$units" ]; then run systemctl daemon-reload; fi

say
for d in $found; do
	say "$d: edit /etc/$d/$d.yaml, then"
	say "  $prefix/bin/$d check -c /etc/$d/$d.yaml && $prefix/bin/$d check host -c /etc/$d/$d.yaml"
	if [ -n "$units" ]; then
		say "  systemctl enable --now $d      or, if it runs already: systemctl restart $d"
	else
		say "  $prefix/bin/$d -c /etc/$d/$d.yaml"
	fi
done
