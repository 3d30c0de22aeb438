/*
 * A back end whose query goes on for a minute, and uses what the end of the process takes away: its
 * destructor runs when the process takes itself apart, and is no secret of this one, for every
 * library with static objects has some.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <websocksy.h>

static char* volatile state;

__attribute__((destructor)) static void teardown(void) {
	state = NULL;
	/* The others take their time, too. */
	usleep(200000);
}

uint64_t init(void) {
	state = calloc(1, 4096);
	return WEBSOCKSY_API_VERSION;
}

uint64_t configure(char* key, char* value) {
	(void)key;
	(void)value;
	return 0;
}

ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	ws_peer_info info = {0};
	int n;

	(void)endpoint, (void)protocols, (void)protocol, (void)headers, (void)header, (void)ws;
	if(write(STDERR_FILENO, "asked\n", 6) != 6) {
		return info;
	}
	for(n = 0; n < 60000; n++) {
		state[0]++;
		usleep(1000);
	}
	return info;
}

void cleanup(void) {
	free(state);
	state = NULL;
}
