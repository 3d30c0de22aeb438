"""A remote desktop that can be checked pixel by pixel.

Eight bars; noise, for a framebuffer update that does not compress; and below them one block for
each key pressed, in the key's colour: what a viewer sees there has gone from its keyboard to this X
client and back. novnc.mjs knows the same geometry and colours.
"""

from Xlib import X, display

WIDTH, HEIGHT = 640, 480
BAR_WIDTH = 80
NOISE_TOP, KEYS_TOP = 200, 400
KEY_WIDTH = 40


def colour(value):
    """Three channels that tell every value from 0 to 255 apart, as 0xRRGGBB."""
    return value << 16 | (255 - value) << 8 | (value ^ 0x55)


def noise(x, y):
    """64 values: more than 96 colours, and the server would send a lossy JPEG."""
    return (x**3 + 7 * y**3 + x * y) % 65521 % 64 * 4


def draw_noise(screen, window):
    gc = window.create_gc()
    for y in range(NOISE_TOP, KEYS_TOP):
        row = b"".join(colour(noise(x, y)).to_bytes(4, "little") for x in range(WIDTH))
        window.put_image(gc, 0, y, WIDTH, 1, X.ZPixmap, screen.screen().root_depth, 0, row)


def fill(window, value, x, y, width, height):
    gc = window.create_gc(foreground=colour(value))
    window.fill_rectangle(gc, x, y, width, height)
    gc.free()


def pressed_keys(screen):
    """The Latin-1 code of each key pressed, Shift applied."""
    while True:
        event = screen.next_event()
        if event.type == X.MappingNotify:
            screen.refresh_keyboard_mapping(event)
        elif event.type == X.KeyPress:
            keysym = screen.keycode_to_keysym(event.detail, event.state & X.ShiftMask)
            if keysym < 256:
                yield keysym


def main():
    screen = display.Display()
    window = screen.screen().root.create_window(
        0, 0, WIDTH, HEIGHT, 0, X.CopyFromParent,
        background_pixel=0, override_redirect=True, event_mask=X.KeyPressMask)
    window.map()
    window.set_input_focus(X.RevertToNone, X.CurrentTime)
    for bar in range(WIDTH // BAR_WIDTH):
        fill(window, bar * 32, bar * BAR_WIDTH, 0, BAR_WIDTH, NOISE_TOP)
    draw_noise(screen, window)
    screen.sync()
    print("drawn", flush=True)
    for position, key in enumerate(pressed_keys(screen)):
        fill(window, key, position * KEY_WIDTH, KEYS_TOP, KEY_WIDTH, HEIGHT - KEYS_TOP)
        screen.flush()


main()
