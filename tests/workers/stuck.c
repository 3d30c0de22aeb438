/*
 * A framing whose function does not return once its peer says so.
 */
#include <string.h>
#include <websocksy.h>

static int64_t stuck(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
	void** framing_data, const char* config) {
	(void)last_read, (void)opcode, (void)framing_data, (void)config;
	while (length == 5 && memcmp(data, "stuck", 5) == 0) {
	}
	return (int64_t)length;
}

static void __attribute__((constructor)) load(void) {
	core_register_framing("stuck", stuck);
}
