// noVNC's page at argv[2] shows the demo's desktop: a terminal, so more than one colour.
import { checkBecomes, screenshot, visit } from './browser.mjs';

await visit(process.argv[2], async page => {
    await page.waitForSelector('.noVNC_connected canvas');
    const colours = () => page.evaluate(() => {
        const canvas = document.querySelector('canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const found = new Set();
        for (let at = 0; at < data.length; at += 4) {
            found.add(data[at] << 16 | data[at + 1] << 8 | data[at + 2]);
        }
        return found.size > 1;
    });
    await checkBecomes('the canvas shows a terminal', colours, true);
    await screenshot(page, 'demo-vnc');
});
