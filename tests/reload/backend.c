/*
 * A back end of which there are two makings, VERSION 1 and 2, each with globals and a framing of its
 * own. Its peer is the configured port; a query for /slow takes until the configured file is there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <websocksy.h>

static int queries;
static char port[8], gate[256];

static int64_t framing(uint8_t* data, size_t length, size_t fresh, ws_operation* opcode,
	void** memory, const char* config) {
	(void) fresh, (void) memory, (void) config;
	if(!data || !length) {
		return 0;
	}
	*opcode = ws_frame_text;
	/* Marks what it cut: the messages of its sessions say who it was. */
	data[0] = '0' + VERSION;
	return length;
}

/* Hangs in this call, if the environment says so. */
static void hang(const char* call) {
	const char* hangs = getenv("HANGS_IN");

	while(hangs && !strcmp(hangs, call)) {
		pause();
	}
}

__attribute__((constructor)) static void begin(void) {
	hang("constructor");
	core_register_framing("marked", framing);
}

static void say(const char* what) {
	char line[64];

	snprintf(line, sizeof line, "version %d: %s after %d queries", VERSION, what, queries);
	core_log(WS_LOG_INFO, line);
}

uint64_t init(void) {
	hang("init");
	say("init");
	return WEBSOCKSY_API_VERSION;
}

uint64_t configure(char* key, char* value) {
	hang("configure");
	if(!strcmp(key, "port")) {
		snprintf(port, sizeof port, "%s", value);
		return 0;
	}
	if(!strcmp(key, "gate")) {
		snprintf(gate, sizeof gate, "%s", value);
		return 0;
	}
	/* Hangs until this file is there, wherever it runs or in a worker alone. */
	if(!strcmp(key, "hang") || (!strcmp(key, "hang-worker") && getenv("WEBSOCKSY_WORKER"))) {
		while(access(value, F_OK)) {
			usleep(2000);
		}
		return 0;
	}
	return strcmp(key, "hang-worker") != 0;
}

uint64_t websocksy_check(void) {
	hang("check");
	return 0;
}

ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	ws_peer_info peer = {0};
	char name[] = "marked";

	(void) protocol, (void) headers, (void) header, (void) ws;
	queries++;
	while(!strcmp(endpoint, "/slow") && access(gate, F_OK)) {
		usleep(2000);
	}
	peer.transport = peer_tcp_client;
	peer.host = strdup("127.0.0.1");
	peer.port = strdup(port);
	peer.framing = core_framing(name);
	peer.protocol = protocols;
	return peer;
}

void cleanup(void) {
	hang("cleanup");
	say("cleanup");
}
