/*
 * Holds websocksy.h to API version 1. Compiled, never run: against our header, and against the
 * first websocksy's where it is at hand, whose numbers these are (x86-64, AArch64: LP64).
 */
#include <stddef.h>
#include <websocksy.h>

#ifdef __cplusplus
#define _Static_assert static_assert
#endif

#define VALUE(name, number) _Static_assert((name) == (number), #name)
#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define FIELD(type, field, at, bytes) \
	_Static_assert(offsetof(type, field) == (at), #type "." #field " is elsewhere"); \
	_Static_assert(sizeof(((type*)0)->field) == (bytes), #type "." #field " has another size")

VALUE(WEBSOCKSY_API_VERSION, 1);
VALUE(WS_MAX_LINE, 16384);
VALUE(PEER_BUFFER_SIZE, 16384);
VALUE(WS_HEADER_LIMIT, 10);

SIZE(ws_state, 4);
VALUE(ws_new, 0);
VALUE(ws_http, 1);
VALUE(ws_open, 2);
VALUE(ws_closed, 3);

SIZE(ws_operation, 4);
VALUE(ws_frame_continuation, 0);
VALUE(ws_frame_text, 1);
VALUE(ws_frame_binary, 2);
VALUE(ws_frame_close, 8);
VALUE(ws_frame_ping, 9);
VALUE(ws_frame_pong, 10);

SIZE(ws_close_reason, 4);
VALUE(ws_close_http, 100);
VALUE(ws_close_normal, 1000);
VALUE(ws_close_shutdown, 1001);
VALUE(ws_close_proto, 1002);
VALUE(ws_close_data, 1003);
VALUE(ws_close_format, 1007);
VALUE(ws_close_policy, 1008);
VALUE(ws_close_limit, 1009);
VALUE(ws_close_unexpected, 1011);

SIZE(peer_transport, 4);
VALUE(peer_transport_detect, 0);
VALUE(peer_tcp_client, 1);
VALUE(peer_udp_client, 2);
VALUE(peer_fifo_tx, 3);
VALUE(peer_fifo_rx, 4);
VALUE(peer_unix_stream, 5);
VALUE(peer_unix_dgram, 6);

SIZE(ws_http_header, 16);
FIELD(ws_http_header, tag, 0, 8);
FIELD(ws_http_header, value, 8, 8);

SIZE(ws_peer_info, 48);
FIELD(ws_peer_info, transport, 0, 4);
FIELD(ws_peer_info, host, 8, 8);
FIELD(ws_peer_info, port, 16, 8);
FIELD(ws_peer_info, framing, 24, 8);
FIELD(ws_peer_info, framing_config, 32, 8);
FIELD(ws_peer_info, protocol, 40, 8);

SIZE(websocket, 33080);
FIELD(websocket, ws_fd, 0, 4);
FIELD(websocket, read_buffer, 4, 16384);
FIELD(websocket, read_buffer_offset, 16392, 8);
FIELD(websocket, state, 16400, 4);
FIELD(websocket, headers, 16408, 8);
FIELD(websocket, header, 16416, 160);
FIELD(websocket, request_path, 16576, 8);
FIELD(websocket, websocket_version, 16584, 4);
FIELD(websocket, socket_key, 16592, 8);
FIELD(websocket, want_upgrade, 16600, 4);
FIELD(websocket, protocols, 16608, 8);
FIELD(websocket, protocol, 16616, 8);
FIELD(websocket, peer, 16624, 48);
FIELD(websocket, peer_fd, 16672, 4);
FIELD(websocket, peer_buffer, 16676, 16384);
FIELD(websocket, peer_buffer_offset, 33064, 8);
FIELD(websocket, peer_framing_data, 33072, 8);

SIZE(ws_backend, 32);
FIELD(ws_backend, init, 0, 8);
FIELD(ws_backend, config, 8, 8);
FIELD(ws_backend, query, 16, 8);
FIELD(ws_backend, cleanup, 24, 8);

/* Function types: an initialiser of another type is an error (see the flags in tests/abi.rs). */
static int64_t framing(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
	void** framing_data, const char* config) {
	(void)data, (void)length, (void)last_read, (void)opcode, (void)framing_data, (void)config;
	return 0;
}

static uint64_t init(void) {
	return WEBSOCKSY_API_VERSION;
}

static uint64_t configure(char* key, char* value) {
	(void)key, (void)value;
	return 0;
}

static ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	(void)endpoint, (void)protocols, (void)protocol, (void)headers, (void)header;
	return ws->peer;
}

static void cleanup(void) {}

ws_framing a_framing = framing;
ws_backend a_backend = {init, configure, query, cleanup};
ws_framing (*the_lookup)(char* name) = core_framing;
char* (*the_lowering)(char* in) = xstr_lower;
int (*the_registration)(websocket* ws) = client_register;
int (*the_connection)(websocket* ws) = client_connect;

#ifdef OURS
VALUE(ws_frame_discard, 11);
VALUE(WS_ENVELOPE_PREFIX, 16);
VALUE(WS_ENVELOPE_SUFFIX, 64);
VALUE(WS_ENVELOPE_NONE, 0);
VALUE(WS_ENVELOPE_STREAM, 1);
VALUE(WS_ENVELOPE_SIZED, 2);
SIZE(ws_envelope, 96);
FIELD(ws_envelope, prefix_length, 0, 8);
FIELD(ws_envelope, prefix, 8, 16);
FIELD(ws_envelope, suffix_length, 24, 8);
FIELD(ws_envelope, suffix, 32, 64);

static int encoder(uint64_t length, ws_operation opcode, const char* config, ws_envelope* out) {
	(void)length, (void)opcode, (void)config, (void)out;
	return WS_ENVELOPE_NONE;
}

ws_encoder an_encoder = encoder;
int (*the_naming)(char* name, ws_framing framing) = core_register_framing;
int (*the_way_back)(char* name, ws_encoder encoder) = core_register_encoder;
#endif
