#!/bin/sh
# The bridge in front of the line server, until Ctrl-C ends both. The ports may be set with PORT and
# LINE_PORT.
set -eu
port=${PORT:-8001}
line_port=${LINE_PORT:-7007}

target/line_server "127.0.0.1:$line_port" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
trap : INT TERM # to the bridge; the server is ended by the line above
sleep 0.2
kill -0 $server 2>/dev/null || exit 1 # it has said why

cat <<END

Open http://127.0.0.1:$port/ in a browser (426 Upgrade Required is the right answer to a page), then
paste this into its console:

    ws = new WebSocket('ws://127.0.0.1:$port/')
    ws.onmessage = message => console.log(message.data)
    ws.onclose = () => console.log('closed')

and talk: ws.send('hello'), ws.send('time'), ws.send('quit'). Ctrl-C ends the demo.

END
target/release/websocksy -l 127.0.0.1 -p "$port" -c "host=tcp://127.0.0.1:$line_port" \
    -c framing=newline -c framing-config=add:lf
