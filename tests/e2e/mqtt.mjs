// MQTT.js, through the daemon at argv[2], to an MQTT broker: 1,000 messages out and back.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import WebSocket from 'ws';
import { check, equal } from './check.mjs';

const COUNT = 1_000;
const PATIENCE_MS = 60_000;
// Around the steps of the length fields of WebSocket and of MQTT, and of common buffers.
const SIZES = [0, 1, 60, 110, 125, 126, 127, 128, 1_460, 4_096, 16_300, 16_384, 16_385, 65_500,
    65_536, 200_000];
const [, , url] = process.argv;

// Message `index`: the same content in every run, and no other message's.
function message(index) {
    const outputLength = SIZES[index % SIZES.length] + Math.floor(index / SIZES.length);
    const payload = outputLength === 0 ? Buffer.alloc(0)
        : createHash('shake256', { outputLength }).update(`message ${index}`).digest();
    return { topic: `e2e/${index}`, payload, qos: index % 2 };
}

async function connect() {
    let socket;
    const client = await mqtt.connectAsync(url, {
        connectTimeout: 10_000,
        reconnectPeriod: 0, // a lost connection is a failure
        createWebsocket: (url, protocols) => socket = new WebSocket(url, protocols),
    });
    return { client, socket };
}

// Collects what arrives, by topic, until all of `count` have or the time is over.
function collect(client, count) {
    const arrived = new Map();
    const all = new Promise(resolve => client.on('message', (topic, payload, packet) => {
        arrived.set(topic, [...(arrived.get(topic) ?? []), { payload, qos: packet.qos }]);
        if (arrived.size === count) resolve();
    }));
    const complete = () => Promise.race([all, sleep(PATIENCE_MS, null, { ref: false })]);
    return { arrived, complete };
}

function checkArrived(sent, arrived) {
    const copies = topic => arrived.get(topic) ?? [];
    const large = sent.filter(({ payload }) => payload.length > 16_384).length;
    const total = sent.reduce((sum, { payload }) => sum + payload.length, 0);
    const same = sent.filter(({ topic, payload }) => copies(topic)[0]?.payload.equals(payload));
    const once = sent.filter(({ topic, qos }) =>
        copies(topic).length === 1 && copies(topic)[0].qos === qos);
    equal(`${sent.length} messages arrive once, with their QoS`, once.length, sent.length);
    equal(`their contents are equal (${total} bytes, ${large} messages over 16 KiB)`,
        same.length, sent.length);
}

const { client, socket } = await connect();
equal('the subprotocol is agreed', socket.protocol, 'mqtt');

const [granted] = await client.subscribeAsync('e2e/+', { qos: 1 });
equal('the subscription is granted QoS 1', granted.qos, 1);

const sent = [...Array(COUNT).keys()].map(message);
const { arrived, complete } = collect(client, COUNT);
const publish = ({ topic, payload, qos }) => client.publishAsync(topic, payload, { qos });
await Promise.all(sent.map(publish));
check('every publication is acknowledged', true);
await complete();
checkArrived(sent, arrived);

const closed = once(socket, 'close');
await client.endAsync();
const [code] = await closed;
// Whoever is first: the broker ends its stream (1000), or MQTT.js closes without a code (1005).
check('the session closes with 1000 or no code', [1000, 1005].includes(code), `(got ${code})`);
