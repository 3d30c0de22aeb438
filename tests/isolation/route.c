/*
 * A back end with three peers: /echo and /dead as configured, and /slow, which is /echo after two
 * seconds of thought.
 */
#include <string.h>
#include <unistd.h>
#include <websocksy.h>

static char echo[64], dead[64];

uint64_t init(void) {
	return WEBSOCKSY_API_VERSION;
}

uint64_t configure(char* key, char* value) {
	char* peer = !strcmp(key, "echo") ? echo : dead;

	if(strlen(value) >= sizeof(echo)) {
		return 1;
	}
	strcpy(peer, value);
	return 0;
}

ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	ws_peer_info info = {.protocol = protocols};
	char framing[] = "binary";

	(void)protocol, (void)headers, (void)header, (void)ws;
	if(!strcmp(endpoint, "/slow")) {
		sleep(2);
	}
	info.host = strdup(strcmp(endpoint, "/dead") ? echo : dead);
	info.framing = core_framing(framing);
	return info;
}
