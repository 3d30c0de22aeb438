/* Framings that do as told, and one that watches whether the core keeps the contract. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <websocksy.h>

/* What `watchful` saw; the tests read these. */
unsigned long allocated, freed;
const char* complaint;
/* What the constructor's calls returned, a bit each: 0 for success. */
unsigned refusals;

/* config: "RETURN [OPCODE]"; a RETURN that begins with n is relative to length. */
static int64_t obedient(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
	void** framing_data, const char* config) {
	char* end = NULL;
	int64_t result = *config == 'n' ? (int64_t)length : 0;

	(void)data, (void)last_read, (void)framing_data;
	result += strtoll(*config == 'n' ? config + 1 : config, &end, 10);
	if(*end == ' ') {
		*opcode = (ws_operation)strtoul(end, NULL, 0);
	}
	return result;
}

static void expect(int truth, const char* what) {
	if(!truth) {
		complaint = what;
	}
}

/* Text messages that end in '!', sent in capitals; '?' begins one that is binary by default. */
static int64_t watchful(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
	void** framing_data, const char* config) {
	uint8_t* end;
	size_t n, size;

	expect(opcode && *opcode == ws_frame_binary, "the opcode is not set to binary");
	expect(config && !strcmp(config, "as configured"), "the configuration is another");
	if(!data) {
		expect(!length && !last_read, "there are bytes at the end");
		expect(*framing_data != NULL, "there is nothing to free at the end");
		free(*framing_data);
		freed++;
		return 0;
	}

	expect(length && last_read <= length, "more bytes are new than wait");
	expect(data[length] == 0, "there is no zero after the data");
	if(!*framing_data) {
		*framing_data = malloc(1);
		allocated++;
	}

	end = memchr(data, '!', length);
	if(!end) {
		return 0;
	}
	size = (size_t)(end - data) + 1;
	for(n = 0; n < size; n++) {
		data[n] = (uint8_t)toupper(data[n]);
	}
	if(*data != '?') {
		*opcode = ws_frame_text;
	}
	return (int64_t)size;
}

/* Remembers nothing, so nothing is to be freed. */
static int64_t forgetful(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
	void** framing_data, const char* config) {
	(void)last_read, (void)opcode, (void)framing_data, (void)config;
	expect(data != NULL, "called to free nothing");
	return (int64_t)length;
}

/* config: "MODE PREFIX SUFFIX"; fills in that many bytes, as far as there is room. */
static int enveloping(uint64_t length, ws_operation opcode, const char* config, ws_envelope* out) {
	char* rest;
	int mode = (int)strtol(config, &rest, 10);

	if(out) {
		out->prefix_length = strtoul(rest, &rest, 10);
		out->suffix_length = strtoul(rest, &rest, 10);
		memset(out->prefix, (int)(length & 0xff), sizeof(out->prefix));
		memset(out->suffix, (int)opcode, sizeof(out->suffix));
	}
	return mode;
}

static void __attribute__((constructor)) enter(void) {
	int refused[] = {
		core_register_framing("obedient", obedient),
		core_register_framing("watchful", watchful),
		core_register_framing("forgetful", forgetful),
		core_register_encoder("obedient", enveloping),
		core_register_framing("obedient", watchful),  /* 4: a name that is taken */
		core_register_framing("auto", obedient),      /* 5: one of the core's */
		core_register_framing("auto", obedient),      /* 6: and again */
		core_register_framing(NULL, obedient),        /* 7 */
		core_register_framing("nothing", NULL),       /* 8 */
		core_register_encoder("obedient", enveloping),/* 9: it has one */
		core_register_encoder("nobody", enveloping),  /* 10 */
		core_register_encoder("newline", enveloping), /* 11: one of the core's */
		core_register_encoder("watchful", NULL),      /* 12 */
		core_register_encoder(NULL, enveloping)       /* 13 */
	};
	/* One function under two names, of which one has an encoder; and one of the core's own. */
	int accepted = !core_register_framing("bare twin", forgetful)
		&& !core_register_framing("enveloped twin", forgetful)
		&& !core_register_encoder("enveloped twin", enveloping)
		&& !core_register_framing("my lines", core_framing("newline"))
		&& !core_register_encoder("my lines", enveloping);
	size_t n;

	for(n = 0; n < sizeof(refused) / sizeof(refused[0]); n++) {
		refusals |= (unsigned)!!refused[n] << n;
	}
	refusals |= (unsigned)!accepted << n;
}
