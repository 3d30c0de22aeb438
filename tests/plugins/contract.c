/*
 * A back end that takes the first header at its word, in the ways in which somebody who only had
 * that header would. It says on standard error what it found, one line for each client.
 *
 *   /headers   the fields, copied to an array of WS_HEADER_LIMIT, as the header invites
 *   /all       with -DALL: all of them, by our functions; and what these say of another connection
 *   /framings  the core's framings, called with null and by the plug-in itself
 *   /internal  with -DINTERNAL: the core's internal functions, which the header declares
 *   /config    the peer, with a framing of its own whose configuration is no string
 *   /thread    which thread this is
 *   /port      the peer at the service that was configured
 *   /log       with -DALL: lines for the daemon's log
 *   /client    with -DALL: what is known of the client
 *   /proxy/N   with -DALL: has the peer sent a PROXY header of this version
 *   /further   with -DALL: a peer that nobody listens at, and the peer behind it
 *   /lasts/S/C with -DALL: the peer, for S seconds, and then close code C
 *   /secret/X  with -DALL: X is not to be in the log; and a hundred counters
 *   /keep      nothing; what was kept of the connection before is looked at
 *   /slow      takes a second, and looks whether anybody else touched the connection meanwhile
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <websocksy.h>

static char peer_host[256], service[64];
static __thread int mine;
static int configured;
static websocket* kept;

static void say(const char* format, ...) {
	char line[8192] = "contract: ";
	va_list values;
	int used;

	va_start(values, format);
	used = vsnprintf(line + 10, sizeof(line) - 11, format, values) + 10;
	va_end(values);
	line[used++] = '\n';
	if(write(STDERR_FILENO, line, (size_t)used) != used) {
		abort();
	}
}

uint64_t init() {
	mine = 1;
	return WEBSOCKSY_API_VERSION;
}

uint64_t configure(char* key, char* value) {
	configured = mine;
	snprintf(strcmp(key, "port") ? peer_host : service, 64, "%s", value);
	return 0;
}

/* What the framing is told: the address counts, and there is a zero in the middle. */
struct settings {
	char head[4];
	struct settings* self;
	int calls;
};

static int64_t own(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
	void** framing_data, const char* config) {
	struct settings* settings = (struct settings*)config;

	(void)last_read, (void)opcode;
	if(settings->self != settings) {
		say("config is another");
		return -1;
	}
	settings->calls++;
	if(!data) {
		say("config calls=%d intact=%d", settings->calls, !memcmp(settings->head, "a\0b", 4));
	}
	*framing_data = data ? settings : NULL;
	return (int64_t)length;
}

/* What a framing of the core makes of `text`, with and without the optional arguments. */
static void try_framing(const char* name, const char* text, const char* config) {
	ws_framing framing = core_framing((char*)name);
	uint8_t data[64];
	size_t length = strlen(text);
	ws_operation opcode = ws_frame_binary;
	void* framing_data = NULL;
	int64_t bare, whole;

	memcpy(data, text, length + 1);
	bare = framing(data, length, length, NULL, NULL, config);
	whole = framing(data, length, length, &opcode, &framing_data, config);
	framing(NULL, 0, 0, NULL, NULL, config);
	say("framing %s bare=%d whole=%d opcode=%d leaves=%d", name, (int)bare, (int)whole, (int)opcode,
		framing_data != NULL);
	if(framing_data) {
		framing(NULL, 0, 0, &opcode, &framing_data, config);
	}
}

static void list_headers(size_t headers, ws_http_header* header, websocket* ws) {
	struct {
		ws_http_header copy[WS_HEADER_LIMIT];
		char guard[4096];
	} here = {.guard = {0}};
	char list[2048] = "";
	size_t n;

	for(n = 0; n < headers; n++) {
		here.copy[n] = header[n];
	}
	for(n = 0; n < sizeof(here.guard); n++) {
		if(here.guard[n]) {
			say("headers smashed the stack");
			return;
		}
	}
	for(n = 0; n < headers; n++) {
		strncat(list, here.copy[n].tag, sizeof(list) - strlen(list) - 1);
		strncat(list, " ", sizeof(list) - strlen(list) - 1);
	}
	say("headers=%zu of %zu same=%d first=%s: %s", headers, ws->headers, header == ws->header,
		headers ? header[0].value : "", list);
}

#ifdef ALL
static void list_all(websocket* ws) {
	static websocket other;
	char list[4096] = "";
	size_t n, all = core_header_count(ws);

	for(n = 0; n < all; n++) {
		strncat(list, core_header_at(ws, n)->tag, sizeof(list) - strlen(list) - 1);
		strncat(list, " ", sizeof(list) - strlen(list) - 1);
	}
	say("all=%zu last=%s none=%d beyond=%d other=%zu,%d,%d kept=%zu: %s", all,
		core_header(ws, "x-LAST") ? core_header(ws, "x-LAST") : "(none)",
		core_header(ws, "X-Nobody") == NULL, core_header_at(ws, all) == NULL,
		core_header_count(&other), core_header_at(NULL, 0) == NULL, core_header(&other, "Host") == NULL,
		kept == ws ? 0 : core_header_count(kept), list);
}
#endif

#ifdef ALL
static void write_log(void) {
	char line[2048];

	core_log(WS_LOG_ERROR, "an error\nwith an end of line \x1b[2J");
	core_log(WS_LOG_WARNING, "a warning");
	core_log(WS_LOG_INFO, "something");
	core_log(WS_LOG_DEBUG, "a detail");
	core_log(99, "of another kind");
	core_log(WS_LOG_INFO, NULL);
	memset(line, 'x', sizeof(line)); /* without an end */
	core_log(WS_LOG_INFO, line);
}
#endif

#ifdef ALL
/* "/refuse/STATUS/SECONDS/REASON" */
static void refuse(const char* how, websocket* ws) {
	static websocket other;
	char* rest;
	long status = strtol(how, &rest, 10);
	long seconds = strtol(rest + 1, &rest, 10);
	int outside = core_refuse(&other, 403, "not its own", 0);

	say("refuse outside=%d null=%d own=%d", outside, core_refuse(NULL, 403, NULL, 0),
		core_refuse(ws, status, strcmp(rest, "/-") ? rest + 1 : NULL, seconds));
}
#endif

#ifdef ALL
static void say_client(websocket* ws) {
	static websocket other;
	static const char* const names[] = {"address", "port", "proxy", "user", "listener", "tls-version", "tls-server-name", "tls-subject", "Address", ""};
	char list[1024] = "";
	size_t n;

	for(n = 0; n < sizeof(names) / sizeof(*names); n++) {
		const char* value = core_client(ws, names[n]);
		snprintf(list + strlen(list), sizeof(list) - strlen(list), " %s=%s", names[n],
			value ? value : "(none)");
	}
	say("client other=%d null=%d kept=%d:%s", core_client(&other, "address") == NULL,
		core_client(ws, NULL) == NULL, kept == ws || core_client(kept, "address") == NULL, list);
}

static void choose_proxy(const char* version, websocket* ws) {
	static websocket other;

	say("proxy outside=%d own=%d", core_send_proxy(&other, 1), core_send_proxy(ws, atoi(version)));
}
#endif

#ifdef ALL
static void name_further(ws_peer_info* info, websocket* ws) {
	static websocket other;
	int n, room = 0;

	say("further outside=%d null=%d bad=%d own=%d", core_add_peer(&other, peer_host, NULL),
		core_add_peer(ws, NULL, NULL), core_add_peer(ws, "gopher://x", "1"),
		core_add_peer(ws, "tcp://127.0.0.1", "1") | core_add_peer(ws, peer_host, NULL));
	for(n = 0; n < 20; n++) {
		room += !core_add_peer(ws, peer_host, NULL);
	}
	say("further room=%d", room);
	free(info->host);
	info->host = strdup("unix:///nonexistent/socket");
}

/* "/lasts/SECONDS/CODE" */
static void last(const char* how, websocket* ws) {
	static websocket other;
	char* rest;
	unsigned long seconds = strtoul(how, &rest, 10);

	say("lasts outside=%d own=%d session=%d other=%d", core_max_session(&other, 1, 1000),
		core_max_session(ws, (unsigned)seconds, atoi(rest + 1)), core_session(ws) != 0,
		core_session(&other) == 0);
}

static void keep_secret(const char* secret, websocket* ws) {
	static websocket other;
	char name[80];
	int n, room = 0;

	say("secret outside=%d null=%d empty=%d short=%d own=%d all=%d", core_secret(&other, secret),
		core_secret(ws, NULL), core_secret(ws, ""), core_secret(NULL, "abc"), core_secret(ws, secret),
		core_secret(NULL, "an open secret"));
	core_log(WS_LOG_INFO, "this is an open secret");
	for(n = 0; n < 100; n++) {
		snprintf(name, sizeof(name), "contract_%d", n);
		room += !core_count(name, 1);
	}
	say("count bad=%d null=%d room=%d again=%d", core_count("Contract", 1) | core_count("", 1) | core_count("1", 1),
		core_count(NULL, 1), room, core_count("contract_0", 41));
}

void websocksy_ended(uint64_t session, const char* reason) {
	static uint64_t last;

	say("ended again=%d thread=%d reason=%s", session == last, mine, reason);
	last = session;
}
#endif

static void take_time(char* endpoint, websocket* ws) {
	websocket* before = malloc(sizeof(*before));

	memcpy(before, ws, sizeof(*before));
	say("slow begins ws=%p", (void*)ws);
	usleep(1000000);
	say("slow ends intact=%d", !memcmp(before, ws, sizeof(*before)) && !strcmp(endpoint, "/slow")
		&& endpoint == ws->request_path && !strcmp(ws->header[0].tag, "Host"));
	free(before);
}

static void look_back(websocket* ws) {
	int type;
	socklen_t size = sizeof(type);

	say("keep fd=%d peer=%d headers=%zu protocols=%zu strings=%d other=%d open=%d", kept->ws_fd,
		kept->peer_fd, kept->headers, kept->protocols, kept->request_path || kept->socket_key
		|| kept->protocol, kept != ws, !getsockopt(ws->ws_fd, SOL_SOCKET, SO_TYPE, &type, &size));
}

ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	ws_peer_info info = {.protocol = protocols};
	struct settings* settings;

	(void)protocol;
	if(!strcmp(endpoint, "/headers")) {
		list_headers(headers, header, ws);
	}
#ifdef ALL
	if(!strcmp(endpoint, "/all")) {
		list_all(ws);
	}
	if(!strncmp(endpoint, "/refuse/", 8)) {
		refuse(endpoint + 8, ws);
	}
	if(!strcmp(endpoint, "/client")) {
		say_client(ws);
	}
	if(!strncmp(endpoint, "/proxy/", 7)) {
		choose_proxy(endpoint + 7, ws);
	}
	if(!strcmp(endpoint, "/log")) {
		write_log();
	}
#endif
	if(!strcmp(endpoint, "/framings")) {
		try_framing("auto", "text", NULL);
		try_framing("binary", "text", NULL);
		try_framing("newline", "a\r\nb", NULL);
		try_framing("separator", "a;b", ";");
		try_framing("separator", "a;b", NULL);
	}
#ifdef INTERNAL
	if(!strcmp(endpoint, "/internal")) {
		say("internal register=%d connect=%d", !!client_register(ws), !!client_connect(ws));
	}
#endif
	if(!strcmp(endpoint, "/thread")) {
		say("thread query=%d configure=%d ws=%p", mine, configured, (void*)ws);
	}
	if(!strcmp(endpoint, "/keep")) {
		look_back(ws);
	}
	if(!strcmp(endpoint, "/slow")) {
		take_time(endpoint, ws);
	}
	info.host = strdup(peer_host);
#ifdef ALL
	if(!strcmp(endpoint, "/further")) {
		name_further(&info, ws);
	}
	if(!strncmp(endpoint, "/lasts/", 7)) {
		last(endpoint + 7, ws);
	}
	if(!strncmp(endpoint, "/secret/", 8)) {
		keep_secret(endpoint + 8, ws);
	}
#endif
	if(!strcmp(endpoint, "/config")) {
		settings = calloc(1, sizeof(*settings));
		memcpy(settings->head, "a\0b", 4);
		settings->self = settings;
		info.framing = own;
		info.framing_config = (char*)settings;
	}
	if(!strcmp(endpoint, "/port")) {
		info.port = strdup(service);
	}
	kept = ws;
	return info;
}

void cleanup() {
	say("thread cleanup=%d", mine);
}
