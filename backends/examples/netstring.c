/*
 * netstring: an example of a framing, both ways. A peer's stream of netstrings, "5:hello,", becomes
 * messages of their contents, and messages to the peer become netstrings.
 *
 *   websocksy -c host=tcp://localhost:7000 -c framing=netstring -c framing-config=text
 *
 * With the configuration "text" messages are sent as text, else as binary. An empty netstring is
 * dropped: a framing function has no way to say "a message of nothing".
 */
#include <stdio.h>
#include <string.h>
#include <websocksy.h>

/* The longest netstring: more belongs to no stream of them. */
#define LONGEST 999999999
/* Its digits. */
#define DIGITS 9

/* What a connection must remember between calls; see framing_data. */
typedef struct {
	enum { LENGTH, CONTENTS, COMMA } expected;
	size_t contents; /* bytes that are still to come */
} state;

/* Looks for "5:" at the start. Returns its bytes, 0 for "not all there", -1 for nonsense. */
static int64_t read_length(const uint8_t* data, size_t length, size_t* contents) {
	size_t at, value = 0;

	for (at = 0; at < length && at <= DIGITS; at++) {
		if (data[at] == ':') {
			*contents = value;
			return at > 0 && value <= LONGEST ? (int64_t)at + 1 : -1;
		}
		if (data[at] < '0' || data[at] > '9' || (at == 1 && data[0] == '0')) {
			return -1;
		}
		value = value * 10 + (data[at] - '0');
	}
	return at <= DIGITS ? 0 : -1;
}

/*
 * Called on the event loop after each read from the peer, and again after each piece it has taken
 * while bytes are left: it must not block. It sees the bytes not taken yet, and data[length] is 0.
 * Returns how many bytes to take: as a message of the type in *opcode, which is binary unless it
 * says otherwise, as a part of one, or as bytes that go nowhere. 0 waits for more, and a negative
 * number ends the connection.
 */
static int64_t cut(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
	void** framing_data, const char* config) {
	state* now = *framing_data;
	int64_t taken;

	(void)last_read; /* a framing that scans for something could go on where it stopped */
	if (!data) {
		/* The connection is over. This call comes once, and only if *framing_data was set. */
		free(now);
		*framing_data = NULL;
		return 0;
	}
	if (!now) {
		now = *framing_data = calloc(1, sizeof(state));
		if (!now) {
			return -1;
		}
	}

	switch (now->expected) {
	case LENGTH:
		taken = read_length(data, length, &now->contents);
		if (taken > 0) {
			*opcode = ws_frame_discard;
			now->expected = now->contents ? CONTENTS : COMMA;
		}
		return taken;
	case CONTENTS:
		if (config && !strcmp(config, "text")) {
			*opcode = ws_frame_text;
		}
		if (length < now->contents) {
			if (length < PEER_BUFFER_SIZE) {
				return 0;
			}
			/* It is longer than the core's buffer: these go out, and the message goes on. */
			*opcode = (ws_operation)(*opcode | ws_frame_more);
			now->contents -= length;
			return (int64_t)length;
		}
		now->expected = COMMA;
		return (int64_t)now->contents;
	case COMMA:
		*opcode = ws_frame_discard;
		now->expected = LENGTH;
		return data[0] == ',' ? 1 : -1;
	}
	return -1;
}

/*
 * The other way, also on the event loop: what goes around a message to the peer. `out` is null
 * when the core only asks, once, whether the length must be known first.
 */
static int envelop(uint64_t length, ws_operation opcode, const char* config, ws_envelope* out) {
	char prefix[24];
	int used = snprintf(prefix, sizeof(prefix), "%llu:", (unsigned long long)length);

	(void)opcode;
	(void)config;
	if (out) {
		if (used < 0 || (size_t)used > sizeof(out->prefix)) {
			return -1;
		}
		memcpy(out->prefix, prefix, (size_t)used);
		out->prefix_length = (size_t)used;
		out->suffix[0] = ',';
		out->suffix_length = 1;
	}
	return WS_ENVELOPE_SIZED;
}

/* Runs when the file is loaded, which the core does with all of its directory. */
__attribute__((constructor)) static void setup(void) {
	char name[] = "netstring";

	if (core_register_framing(name, cut) || core_register_encoder(name, envelop)) {
		fprintf(stderr, "netstring: not registered\n");
	}
}
