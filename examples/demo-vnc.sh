#!/bin/sh
# A desktop in the browser, until Ctrl-C: Xvnc and noVNC from Debian, and one daemon that serves noVNC's
# pages and carries its sessions. Nobody but this machine reaches it. The port may be set with PORT.
set -eu
port=${PORT:-6080}

packages=""
for pair in /usr/bin/Xvnc:tigervnc-standalone-server /usr/share/novnc/vnc.html:novnc \
    /usr/bin/xterm:xterm; do
    [ -e "${pair%:*}" ] || packages="$packages ${pair#*:}"
done
if [ -n "$packages" ]; then
    echo "As root: apt-get install$packages"
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    # shellcheck disable=SC2086 # one word a package
    $sudo apt-get install -y -qq --no-install-recommends $packages
fi

files=$(mktemp -d) # for nobody else: who reaches the socket has the desktop
server='' terminal=''
cleanup() {
    kill $terminal $server 2>/dev/null || true
    rm -rf "$files"
}
trap cleanup EXIT
trap : INT TERM # to the daemon; the rest is ended by the line above

# The server chooses a free display and writes its number.
mkfifo "$files/display"
Xvnc -displayfd 3 -rfbport -1 -rfbunixpath "$files/vnc" -SecurityTypes None -geometry 1024x700 \
    -desktop 'websocksy demo' 3>"$files/display" 2>"$files/log" &
server=$!
read -r display <"$files/display" || { cat "$files/log" >&2; exit 1; }
DISPLAY=:$display xterm -geometry 100x40+20+20 &
terminal=$!

cat <<END

Open http://127.0.0.1:$port/vnc.html?autoconnect=1 in a browser. Ctrl-C ends the demo.

END
target/release/websocksy -l 127.0.0.1 -p "$port" --web /usr/share/novnc \
    -c "host=unix://$files/vnc" -c framing=binary
