// Node's ws with the heartbeat of its README: who has not answered a ping after 30 s is dropped.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

const { WebSocket } = createRequire(new URL('../../e2e/', import.meta.url))('ws');
const HEARTBEAT_MS = 30_000;
const digest = createHash('sha256');
let count = 0;
let answered = true;

const socket = new WebSocket(process.argv[2], { perMessageDeflate: false });
const heartbeat = setInterval(() => {
    if (!answered) {
        console.error('no pong in time');
        socket.terminate();
    }
    answered = false;
    socket.ping();
}, HEARTBEAT_MS);
socket.on('pong', () => { answered = true; });
socket.on('error', error => console.error(error.message));
socket.on('message', data => {
    digest.update(data);
    count += data.length;
});
socket.on('close', code => {
    clearInterval(heartbeat);
    console.log(JSON.stringify({ count, digest: digest.digest('hex'), code }));
});
