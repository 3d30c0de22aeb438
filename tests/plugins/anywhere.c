/*
 * A back end that takes the client's word for where its peer is: /HOST.
 */
#include <string.h>
#include <websocksy.h>

uint64_t init(void) {
	return WEBSOCKSY_API_VERSION;
}

uint64_t configure(char* key, char* value) {
	(void)key, (void)value;
	return 1;
}

ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	ws_peer_info info = {.protocol = protocols};

	(void)protocol, (void)headers, (void)header, (void)ws;
	info.host = strdup(endpoint + 1);
	return info;
}
