/*
 * host: loads a plug-in and calls it as the core does, so that it can be tested by itself, under
 * valgrind or AddressSanitizer. Every view of a stream is an allocation of its own, so that these
 * see each byte that is read or written outside of it.
 *
 *   host framing FILE NAME CONFIG STREAM...    cuts a peer's stream that arrives in these reads
 *   host encode FILE NAME CONFIG LENGTH        the envelope of a message
 *   host query FILE [KEY=VALUE...] -- ENDPOINT [PROTOCOL...]
 *
 * CONFIG may be "-" for none. Prints what the core would be told.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <websocksy.h>

#define FRAMINGS 8

static struct {
	char name[32];
	ws_framing framing;
	ws_encoder encoder;
} registered[FRAMINGS];
static size_t framings = 0;

static size_t find(const char* name) {
	size_t at = 0;

	while (at < framings && strcmp(registered[at].name, name)) {
		at++;
	}
	return at;
}

/* What the core exports. */

static int64_t whole_reads(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
	void** framing_data, const char* config) {
	(void)data;
	(void)last_read;
	(void)opcode;
	(void)framing_data;
	(void)config;
	return (int64_t)length;
}

ws_framing core_framing(char* name) {
	size_t at = name ? find(name) : framings;

	return at < framings ? registered[at].framing : whole_reads;
}

int core_register_framing(char* name, ws_framing framing) {
	if (framings == FRAMINGS || strlen(name) >= sizeof(registered[0].name)
		|| find(name) < framings) {
		return 1;
	}
	strcpy(registered[framings].name, name);
	registered[framings++].framing = framing;
	return 0;
}

int core_register_encoder(char* name, ws_encoder encoder) {
	size_t at = find(name);

	if (at == framings || registered[at].encoder) {
		return 1;
	}
	registered[at].encoder = encoder;
	return 0;
}

int core_refuse(websocket* ws, int status, const char* reason, unsigned retry_after) {
	(void)ws;
	printf("refused with %d: %s; retry after %u\n", status, reason ? reason : "", retry_after);
	return 0;
}

char* xstr_lower(char* in) {
	char* at;

	for (at = in; at && *at; at++) {
		*at = (char)tolower((unsigned char)*at);
	}
	return in;
}

static void print(const char* what, const uint8_t* data, size_t length) {
	size_t at;

	printf("%s '", what);
	for (at = 0; at < length; at++) {
		printf(isprint(data[at]) ? "%c" : "\\x%02x", data[at]);
	}
	printf("'\n");
}

static const char* kind(ws_operation opcode) {
	switch ((int)opcode) {
	case ws_frame_text:
		return "text";
	case ws_frame_binary:
		return "binary";
	case ws_frame_text | ws_frame_more:
		return "text, and more to come:";
	case ws_frame_binary | ws_frame_more:
		return "binary, and more to come:";
	case ws_frame_discard:
		return "discard";
	default:
		return "bad opcode:";
	}
}

/* A connection: what its peer sent and no message has taken yet. */
typedef struct {
	ws_framing cut;
	const char* config;
	void* framing_data;
	uint8_t waiting[PEER_BUFFER_SIZE];
	size_t length;
} connection;

/* One call, on a copy of the bytes that has no room to spare. */
static int64_t call(connection* now, size_t last_read, ws_operation* opcode) {
	uint8_t* view = malloc(now->length + 1);
	int64_t taken;

	memcpy(view, now->waiting, now->length);
	view[now->length] = 0;
	*opcode = ws_frame_binary;
	taken = now->cut(view, now->length, last_read, opcode, &now->framing_data, now->config);
	memcpy(now->waiting, view, now->length);
	free(view);
	return taken;
}

/* One read: prints what it completes. Returns 0, or 1 when the connection ends. */
static int read_peer(connection* now, const char* bytes) {
	size_t fresh = strlen(bytes);
	ws_operation opcode;
	int64_t taken;

	if (fresh > sizeof(now->waiting) - now->length) {
		printf("full\n");
		return 1;
	}
	memcpy(now->waiting + now->length, bytes, fresh);
	now->length += fresh;
	while (now->length) {
		taken = call(now, fresh < now->length ? fresh : now->length, &opcode);
		if (taken < 0 || (uint64_t)taken > now->length) {
			printf("fault\n");
			return 1;
		}
		if (!taken) {
			break;
		}
		print(kind(opcode), now->waiting, (size_t)taken);
		now->length -= (size_t)taken;
		memmove(now->waiting, now->waiting + taken, now->length);
	}
	return 0;
}

static int drive_framing(ws_framing cut, const char* config, int reads, char** read) {
	connection* now = calloc(1, sizeof(connection));
	ws_operation opcode = ws_frame_binary;
	int at;

	now->cut = cut;
	now->config = config;
	for (at = 0; at < reads && !read_peer(now, read[at]); at++) {
	}
	print("left", now->waiting, now->length);
	if (now->framing_data) {
		cut(NULL, 0, 0, &opcode, &now->framing_data, config);
	}
	free(now);
	return 0;
}

static int drive_encoder(ws_encoder encode, const char* config, uint64_t length) {
	static const char* modes[] = {"none", "stream", "sized"};
	ws_envelope* out = calloc(1, sizeof(ws_envelope));
	int asked = encode(0, ws_frame_binary, config, NULL);
	int mode = encode(length, ws_frame_binary, config, out);

	printf("%s\n", asked < 0 || asked > 2 ? "fault" : modes[asked]);
	if (mode < 0 || mode > 2 || out->prefix_length > WS_ENVELOPE_PREFIX
		|| out->suffix_length > WS_ENVELOPE_SUFFIX) {
		printf("fault\n");
	} else {
		print("prefix", out->prefix, out->prefix_length);
		print("suffix", out->suffix, out->suffix_length);
	}
	free(out);
	return 0;
}

static void ask(ws_backend_query query, char* endpoint, size_t protocols, char** protocol) {
	static char tag[] = "Cookie", value[] = "user=ada";
	ws_http_header header = {tag, value};
	websocket* ws = calloc(1, sizeof(websocket));
	ws_peer_info peer;

	ws->ws_fd = ws->peer_fd = -1;
	ws->state = ws_http;
	ws->request_path = endpoint;
	ws->protocols = protocols;
	ws->protocol = protocol;
	peer = query(endpoint, protocols, protocol, 1, &header, ws);
	printf("peer %s port %s config %s protocol %s\n", peer.host ? peer.host : "none",
		peer.port ? peer.port : "none", peer.framing_config ? peer.framing_config : "none",
		peer.protocol < protocols ? protocol[peer.protocol] : "none");
	free(peer.host);
	free(peer.port);
	free(peer.framing_config);
	free(ws);
}

static int drive_backend(void* plugin, int count, char** argument) {
	ws_backend backend = {0};
	int at;

	*(void**)&backend.init = dlsym(plugin, "init");
	*(void**)&backend.config = dlsym(plugin, "configure");
	*(void**)&backend.query = dlsym(plugin, "query");
	*(void**)&backend.cleanup = dlsym(plugin, "cleanup");
	if (!backend.init || !backend.query || backend.init() != WEBSOCKSY_API_VERSION) {
		fprintf(stderr, "no back end of API version %d\n", WEBSOCKSY_API_VERSION);
		return 1;
	}
	for (at = 0; at < count && strcmp(argument[at], "--"); at++) {
		char* key = strdup(argument[at]);
		char* equals = strchr(key, '=');

		if (equals) {
			*equals = 0;
		}
		if (!equals || !backend.config || backend.config(key, equals + 1)) {
			printf("refused %s\n", argument[at]);
		}
		free(key);
	}
	if (at + 1 < count) {
		ask(backend.query, argument[at + 1], (size_t)(count - at - 2), argument + at + 2);
	}
	if (backend.cleanup) {
		backend.cleanup();
	}
	return 0;
}

int main(int count, char** argument) {
	void* plugin = count > 2 ? dlopen(argument[2], RTLD_NOW | RTLD_LOCAL) : NULL;
	const char* config;
	size_t at;

	if (!plugin) {
		fprintf(stderr, "%s\n", count > 2 ? dlerror() : "host framing|encode|query FILE ...");
		return 1;
	}
	if (!strcmp(argument[1], "query")) {
		return drive_backend(plugin, count - 3, argument + 3);
	}
	at = count > 4 ? find(argument[3]) : framings;
	if (at == framings) {
		fprintf(stderr, "no such framing in %s\n", argument[2]);
		return 1;
	}
	config = strcmp(argument[4], "-") ? argument[4] : NULL;
	if (!strcmp(argument[1], "framing")) {
		return drive_framing(registered[at].framing, config, count - 5, argument + 5);
	}
	if (!registered[at].encoder || count < 6) {
		fprintf(stderr, "no encoder or no length\n");
		return 1;
	}
	return drive_encoder(registered[at].encoder, config, strtoull(argument[5], NULL, 10));
}
