/* Calls each function of the core as soon as it is loaded, says what came back, and ends. */
#include <stdio.h>
#include <unistd.h>
#include <websocksy.h>

static int64_t mine(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
	void** framing_data, const char* config) {
	(void)data, (void)last_read, (void)opcode, (void)framing_data, (void)config;
	return (int64_t)length;
}

static int encoder(uint64_t length, ws_operation opcode, const char* config, ws_envelope* out) {
	(void)length, (void)opcode, (void)config, (void)out;
	return WS_ENVELOPE_NONE;
}

static void __attribute__((constructor)) enter(void) {
	char text[] = "ABC", name[] = "mine", unknown[] = "unknown", newline[] = "newline";
	uint8_t data[] = "a\r\nb";
	ws_operation opcode = ws_frame_binary;
	void* framing_data = NULL;
	int registered = core_register_framing(name, mine), again = core_register_framing(name, mine);
	int64_t cut = core_framing(newline)(data, 4, 4, &opcode, &framing_data, NULL);

	core_framing(newline)(NULL, 0, 0, &opcode, &framing_data, NULL);
	printf("lower=%s registered=%d again=%d encoder=%d found=%d auto=%d cut=%d opcode=%d\n",
		xstr_lower(text), registered, again, core_register_encoder(name, encoder),
		core_framing(name) == mine, core_framing(NULL) == core_framing(unknown), (int)cut, (int)opcode);
	fflush(stdout);
	_exit(0);
}
