#!/bin/sh
# Installs what websocksy is measured against: HAProxy, lighttpd, websockify and, with TLS,
# nginx, hitch and stunnel from Debian, which
# asks for root and says so first; websocat and wstcp from the Rust registry, into target/rivals.
# BENCH_RIVALS=haproxy,lighttpd installs only these.
set -eu
cd "$(dirname "$0")/../.."

asked=${BENCH_RIVALS:-haproxy,lighttpd,websocat,wstcp,websockify,nginx-stream,hitch,stunnel}
packages=""
crates=""
for rival in $(echo "$asked" | tr , ' '); do
	case $rival in
	haproxy*) packages="$packages haproxy" ;;
	nginx-stream) packages="$packages nginx libnginx-mod-stream" ;;
	stunnel) packages="$packages stunnel4" ;;
	lighttpd | websockify | hitch) packages="$packages $rival" ;;
	websocat) crates="$crates websocat@1.14.1" ;;
	# Without --locked: the versions that wstcp locks no longer compile.
	wstcp) crates="$crates wstcp@0.2.1" ;;
	esac
done

if [ -n "$packages" ]; then
	echo "As root: apt-get install$packages"
	sudo=
	[ "$(id -u)" = 0 ] || sudo=sudo
	$sudo apt-get update
	# shellcheck disable=SC2086 # one word a package
	RUNLEVEL=1 $sudo apt-get install -y --no-install-recommends $packages
fi
for crate in $crates; do
	cargo install --root target/rivals "$crate"
done
