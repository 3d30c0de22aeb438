/*
 * A back end that says on standard error what it is asked and when it goes, and takes as long as
 * the endpoint says; and a framing that keeps count of what it allocates and frees.
 *
 *   /FRAMING?MILLISECONDS    the peer configured as `peer`, with this framing, after this time
 *   /none                    no peer
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <websocksy.h>

#ifndef WS_ENVELOPE_PREFIX
int core_register_framing(char* name, ws_framing framing); /* the first header has only the later's */
#endif

static char peer_host[256];
static unsigned long allocated, freed, complaints;

uint64_t init(void) {
	return WEBSOCKSY_API_VERSION;
}

uint64_t configure(char* key, char* value) {
	if(strcmp(key, "peer") || strlen(value) >= sizeof(peer_host)) {
		return 1;
	}
	strcpy(peer_host, value);
	return 0;
}

static unsigned client_port(websocket* ws) {
	struct sockaddr_in address = {0};
	socklen_t size = sizeof(address);

	return getpeername(ws->ws_fd, (struct sockaddr*)&address, &size) ? 0 : ntohs(address.sin_port);
}

/* One line, in one write. */
static void describe(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	char line[4096];
	int used = snprintf(line, sizeof(line), "probe: %s", endpoint);
	size_t n;

	for(n = 0; n < protocols; n++) {
		used += snprintf(line + used, sizeof(line) - used, " +%s", protocol[n]);
	}
	for(n = 0; n < headers; n++) {
		used += snprintf(line + used, sizeof(line) - used, " %s=%s", header[n].tag, header[n].value);
	}
	used += snprintf(line + used, sizeof(line) - used,
		" port=%u path=%s headers=%zu protocols=%zu key=%s version=%u upgrade=%u state=%d peer=%d\n",
		client_port(ws), ws->request_path, ws->headers, ws->protocols, ws->socket_key,
		ws->websocket_version, ws->want_upgrade, ws->state, ws->peer_fd);
	if(write(STDERR_FILENO, line, (size_t)used) < 0) {
		complaints++;
	}
}

ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	ws_peer_info info = {.protocol = protocols};
	char* wait = strchr(endpoint, '?');

	describe(endpoint, protocols, protocol, headers, header, ws);
	if(wait) {
		*wait = 0;
		usleep((useconds_t)strtoul(wait + 1, NULL, 10) * 1000);
	}
	if(!strcmp(endpoint, "/none")) {
		return info;
	}
	info.host = strdup(peer_host);
	info.framing = core_framing(endpoint + 1);
	info.framing_config = strdup("config");
	return info;
}

void cleanup(void) {
	fprintf(stderr, "probe: cleaned up, allocated=%lu freed=%lu complaints=%lu\n", allocated, freed,
		complaints);
}

static void expect(int truth, const char* what) {
	if(!truth && !complaints++) {
		fprintf(stderr, "probe: %s\n", what);
	}
}

/* Binary messages that end in '.'; '!' is a fault. Counts, and watches the core. */
static int64_t counting(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
	void** framing_data, const char* config) {
	size_t n;

	expect(*opcode == ws_frame_binary, "the opcode is not binary");
	expect(config && !strcmp(config, "config"), "the configuration is another");
	if(!data) {
		expect(*framing_data && !length && !last_read, "a strange last call");
		free(*framing_data);
		freed++;
		return 0;
	}
	expect(length && length <= PEER_BUFFER_SIZE && last_read <= length, "strange lengths");
	expect(!data[length], "no zero after the data");
	if(!*framing_data) {
		*framing_data = malloc(1);
		allocated++;
	}
	*opcode = ws_frame_text; /* taken back, so that the core must reset it */
	for(n = 0; n < length; n++) {
		if(data[n] == '!') {
			return -1;
		}
		if(data[n] == '.') {
			*opcode = ws_frame_binary;
			return (int64_t)n + 1;
		}
	}
	return 0;
}

static void __attribute__((constructor)) enter(void) {
	char name[] = "counting";

	expect(!core_register_framing(name, counting), "not registered");
}
