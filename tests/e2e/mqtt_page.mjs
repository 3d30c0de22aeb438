// MQTT.js in Chromium: each line of the block in argv[2] is a client, which hears what it says.
import { readFile } from 'node:fs/promises';
import { serve, visit } from './browser.mjs';
import { equal } from './check.mjs';

const lines = (await readFile(process.argv[2], 'utf8')).trim().split('\n');
const server = await serve(0, ['/node_modules/mqtt/dist/mqtt.min.js']);

await visit(`http://localhost:${server.address().port}/`, async page => {
    for (const line of lines) {
        const heard = await page.evaluate(async line => {
            const client = eval(line);
            const failed = new Promise((_, reject) => {
                client.on('error', reject);
                client.on('close', () => reject(new Error('closed')));
            });
            const conversation = async () => {
                await new Promise(resolve => client.on('connect', resolve));
                await client.subscribeAsync('e2e/page', { qos: 1 });
                const message = new Promise(resolve =>
                    client.on('message', (_topic, payload) => resolve(payload.toString())));
                await client.publishAsync('e2e/page', 'zażółć', { qos: 1 });
                return message;
            };
            const outcome = await Promise.race([conversation(), failed]).catch(String);
            client.end(true);
            return `${client.options.protocolVersion} ${sockets.at(-1).socket.protocol} ${outcome}`;
        }, line);
        const version = /protocolVersion: (\d)/.exec(line)?.[1] ?? '4';
        const subprotocol = version === '3' ? 'mqttv3.1' : 'mqtt';
        equal(`${line} hears itself`, heard, `${version} ${subprotocol} zażółć`);
    }
});
server.close();
