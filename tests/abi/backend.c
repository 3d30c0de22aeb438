/*
 * A back end that does as told, by header fields of the request. Built in variants: API_VERSION
 * for what init returns, NO_* to leave a function out, UNRESOLVED to call one that is nowhere.
 */
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <websocksy.h>

#ifndef API_VERSION
#define API_VERSION WEBSOCKSY_API_VERSION
#endif

unsigned long given, cleanups;

#ifndef NO_INIT
uint64_t init(void) {
	return API_VERSION;
}
#endif

#ifndef NO_CONFIGURE
uint64_t configure(char* key, char* value) {
	/* Both are writable. */
	memset(value, 'x', strlen(value));
	return strcmp(xstr_lower(key), "good") ? 7 : 0;
}
#endif

#ifndef NO_CLEANUP
void cleanup(void) {
	cleanups++;
}
#endif

#ifndef NO_QUERY
static const char* field(const char* name, size_t headers, ws_http_header* header) {
	size_t n;

	for(n = 0; n < headers; n++) {
		if(!strcasecmp(header[n].tag, name)) {
			return header[n].value;
		}
	}
	return NULL;
}

#ifdef UNRESOLVED
void this_function_is_nowhere(void);
#endif

/*
 * Memory for `size` bytes with a mark at its very end, by which the tests count what is freed, and
 * before it the address that says whose mark it is.
 */
static char* give(size_t size) {
	char* memory = calloc(1, size + 64);
	size_t usable = malloc_usable_size(memory);
	void* whose = &given;

	memcpy(memory + usable - 16, &whose, sizeof(whose));
	memcpy(memory + usable - 8, "GIVEN-AW", 8);
	given++;
	return memory;
}

/* What it was configured with is the same pointer at each call, and not freed before the last. */
static int64_t own(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
	void** framing_data, const char* config) {
	(void)last_read;
	if(strcmp(config, "c") || (*framing_data && *framing_data != config)) {
		return -1;
	}
	*framing_data = data ? (void*)config : NULL;
	*opcode = ws_frame_text;
	return (int64_t)length;
}

/* A string as a field says: null, or LENGTH times 'a' ("*LENGTH"), or text with \xHH in it. */
static char* told(const char* text) {
	char* answer;
	size_t n;

	if(!text) {
		return NULL;
	}
	if(*text == '*') {
		n = strtoul(text + 1, NULL, 10);
		answer = give(n + 1);
		memset(answer, 'a', n);
		return answer;
	}
	answer = give(strlen(text) + 1);
	for(n = 0; *text; n++) {
		unsigned byte = (unsigned char)*text;
		text += sscanf(text, "\\x%2x", &byte) == 1 ? 4 : 1;
		answer[n] = (char)byte;
	}
	return answer;
}

/* All that the core says of the client, as the path of a FIFO: the freest of all addresses. */
static ws_peer_info described(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	struct sockaddr_in6 address;
	socklen_t size = sizeof(address);
	ws_peer_info info = {.transport = peer_fifo_tx, .host = give(4096), .protocol = protocols};
	size_t n, used;

	used = (size_t)sprintf(info.host, "%s same=%d protocols=%zu", endpoint,
		endpoint == ws->request_path && protocol == ws->protocol && header == ws->header,
		protocols);
	for(n = 0; n < ws->protocols; n++) {
		used += (size_t)sprintf(info.host + used, " %s", ws->protocol[n]);
	}
	used += (size_t)sprintf(info.host + used, " headers=%zu", headers);
	for(n = 0; n < headers; n++) {
		used += (size_t)sprintf(info.host + used, " %s=%.40s", header[n].tag, header[n].value);
	}
	used += (size_t)sprintf(info.host + used, " ws.headers=%zu", ws->headers);
	for(n = 0; n < ws->headers; n++) {
		used += (size_t)sprintf(info.host + used, " %s", ws->header[n].tag);
	}
	sprintf(info.host + used,
		" client=%d state=%d version=%u key=%s upgrade=%u peer=%d,%d empty=%d early=%zu %.*s",
		getpeername(ws->ws_fd, (struct sockaddr*)&address, &size) == 0, ws->state,
		ws->websocket_version, ws->socket_key, ws->want_upgrade, ws->peer_fd, ws->peer.transport,
		!ws->peer_buffer_offset && !ws->peer_framing_data && !ws->peer.host && !ws->peer.framing,
		ws->read_buffer_offset, (int)ws->read_buffer_offset, (char*)ws->read_buffer);

	/* It is all writable. */
	xstr_lower(endpoint);
	if(protocols) {
		memset(protocol[0], '\r', strlen(protocol[0]));
		protocol[0] = NULL;
	}
	if(headers) {
		memset(header[0].value, 'x', strlen(header[0].value));
	}
	memset(ws, 0xff, sizeof(*ws));
	return info;
}

static char variable[8];

ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	ws_peer_info info = {0};
	const char* text;

	if(!strcmp(endpoint, "/Literals")) {
		/* Against the contract: none of these is from malloc. */
		info.host = "tcp://literal";
		info.port = strcpy(variable, "7");
		info.framing_config = "literal";
		return info;
	}
	if(!strncmp(endpoint, "/Describe", 9)) {
		return described(endpoint, protocols, protocol, headers, header, ws);
	}
#ifdef UNRESOLVED
	this_function_is_nowhere();
#endif
	text = field("transport", headers, header);
	info.transport = text ? (peer_transport)strtoul(text, NULL, 10) : peer_transport_detect;
	info.host = told(field("peer-host", headers, header));
	info.port = told(field("peer-port", headers, header));
	info.framing_config = told(field("framing-config", headers, header));
	text = field("framing", headers, header);
	info.framing = text ? core_framing((char*)text) : NULL;
	if(field("own-framing", headers, header)) {
		info.framing = own;
	}
	text = field("protocol", headers, header);
	info.protocol = text ? strtoull(text, NULL, 10) : 0;
	return info;
}
#endif
