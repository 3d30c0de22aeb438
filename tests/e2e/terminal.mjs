// xterm.js in Chromium: the block in argv[2] opens a terminal, and a user types into it.
import { readFile } from 'node:fs/promises';
import { PAGE_PORT, checkBecomes, closings, screenshot, serve, visit } from './browser.mjs';
import { check } from './check.mjs';

const block = await readFile(process.argv[2], 'utf8');
const modules = '/node_modules/@xterm';
const server = await serve(PAGE_PORT,
    [`${modules}/xterm/lib/xterm.js`, `${modules}/addon-attach/lib/addon-attach.js`],
    [`${modules}/xterm/css/xterm.css`]);

// What the terminal shows, line by line.
const shown = page => page.evaluate(() => {
    const { active } = terminal.buffer;
    return Array.from({ length: active.length }, (_, at) =>
        active.getLine(at).translateToString(true)).join('\n');
});

await visit(`http://localhost:${PAGE_PORT}/`, async page => {
    await page.evaluate(block);
    await checkBecomes('there is a prompt', async () => /[#$] $/.test((await shown(page)).trimEnd() + ' '), true);
    await page.evaluate(() => terminal.focus());
    for (const [typed, output] of [
        ['echo $((6 * 7))', /^42$/m],
        ['tty', /^\/dev\/pts\/\d+$/m],
        ['printf "\\x7a\\xc5\\xbc\\xc3\\xb3\\xc5\\x82\\xc4\\x87\\n"', /^zżółć$/m],
        ['seq 20000 | tail -c 10', /^20000$/m],
        ['seq 20000', /^19999\n20000$/m],
    ]) {
        await page.keyboard.type(`${typed}\n`);
        await checkBecomes(`"${typed}" shows ${output}`,
            async () => output.test(await shown(page)), true);
    }
    await screenshot(page, 'terminal');
    check('the session is open', !/wasClean/.test(await closings(page)));
    await page.keyboard.type('exit\n');
    await checkBecomes('it closes when the shell ends',
        async () => /"code":1000/.test(await closings(page)), true);
});
server.close();
