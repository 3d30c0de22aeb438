// irc-framework in Chromium: the block in argv[2] connects and joins #chat, where ircbot.py is.
import { readFile } from 'node:fs/promises';
import { checkBecomes, closings, serve, visit } from './browser.mjs';
import { check, equal } from './check.mjs';

const block = await readFile(process.argv[2], 'utf8');
const server = await serve(0, ['/node_modules/irc-framework/dist/browser/static/browser.js']);

const TALK = [
    ['hello', 'olleh'],
    ['żółw 🦀', 'żółw 🦀'],
    ['say utf-8', 'zażółć 🦀'],
    ['say long', 'ż'.repeat(180)],
    ['say latin-1', 'caf\ufffd'],
    ['still here', 'ereh llits'],
];

await visit(`http://localhost:${server.address().port}/`, async page => {
    await page.evaluate(block => {
        // The library is bundled without Node's globals, which pages bring along.
        globalThis.process ??= { env: {}, browser: true, nextTick: (f, ...args) => queueMicrotask(() => f(...args)) };
        eval(block.replaceAll(/^client = /gm, 'window.client = '));
        window.heard = [];
        client.on('privmsg', ({ nick, message }) => window.heard.push(`${nick}: ${message}`));
        client.on('join', ({ nick, channel }) => window.heard.push(`${nick} joins ${channel}`));
    }, block);
    const last = () => page.evaluate(() => window.heard.at(-1));
    await checkBecomes('the block joins #chat', last, 'alice joins #chat');
    for (const [said, answer] of TALK) {
        await page.evaluate(said => client.say('#chat', said), said);
        await checkBecomes(`"${said}" is answered`, last, `bob: ${answer}`);
    }

    const protocols = await page.evaluate(() => sockets.map(({ socket }) => socket.protocol));
    equal('one session, with its subprotocol', protocols.join(), 'text.ircv3.net');
    const [binary, ended] = await page.evaluate(() => {
        const messages = sockets.flatMap(({ received }) => received);
        return [messages.filter(it => typeof it !== 'string').length,
            messages.filter(it => /[\r\n]/.test(it)).length];
    });
    equal('no message is binary', binary, 0);
    equal('none has the line end', ended, 0);
    check('the session was never closed', !/wasClean/.test(await closings(page)));
});
server.close();
