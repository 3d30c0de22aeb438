/*
 * websocksy.h: what plug-ins and the core promise each other, API version 1.
 *
 * A plug-in is a shared object that the core loads when it starts, and never unloads.
 *
 *   backend_NAME.so   a back end: says which peer a client is bridged to. One is chosen.
 *   anything else.so  brings framing functions: its constructor registers them by name.
 *
 * Needs nothing but the C library; also good for C++. Names, values and layouts are those of the
 * first websocksy, so that its plug-ins need not be built again. What this core has beyond it is
 * marked "ours".
 *
 *   cc -shared -fPIC -I backends/include -o backend_mine.so mine.c
 *
 * Which thread: constructors, `init` and `configure` run before any client is there, `cleanup`
 * after the last; `query` on threads of its own, one call at a time unless --query-threads allows
 * more; framing functions and encoders on the event loop, where they must not block.
 */
#ifndef WEBSOCKSY_HEADER_INCLUDED
#define WEBSOCKSY_HEADER_INCLUDED

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What `init` returns. */
#define WEBSOCKSY_API_VERSION 1
/* The program that this header came with. */
#define WEBSOCKSY_VERSION "1.0.0"

/* The longest line of a request head, bytes. */
#define WS_MAX_LINE 16384
/* The most bytes of a peer's stream that a framing function is shown at once. */
#define PEER_BUFFER_SIZE 16384
/* How many header fields a `websocket` holds. `query` is handed all of them beside it. */
#define WS_HEADER_LIMIT 10

/* Where a connection stands. */
typedef enum {
	ws_new = 0, /* accepted */
	ws_http,    /* its request head is being read and answered */
	ws_open,    /* upgraded: messages pass */
	ws_closed   /* the close frame was sent */
} ws_state;

/* What a frame carries: RFC 6455, section 5.2. */
typedef enum {
	ws_frame_continuation = 0,
	ws_frame_text = 1,
	ws_frame_binary = 2,
	ws_frame_close = 8,
	ws_frame_ping = 9,
	ws_frame_pong = 10,
	ws_frame_discard = 11 /* Ours, on no wire: a framing function's word for "send these to nobody". */
} ws_operation;

/* Why a connection is closed: RFC 6455, section 7.4.1. */
typedef enum {
	ws_close_http = 100, /* on no wire: before the upgrade */
	ws_close_normal = 1000,
	ws_close_shutdown = 1001,
	ws_close_proto = 1002,
	ws_close_data = 1003,
	ws_close_format = 1007,
	ws_close_policy = 1008,
	ws_close_limit = 1009,
	ws_close_unexpected = 1011
} ws_close_reason;

/* A header field of the client's request. */
typedef struct {
	char* tag;   /* the name, as the client wrote it */
	char* value; /* without white space around it */
} ws_http_header;

/*
 * A framing function: when is a peer's stream a message?
 *
 * It is called when a read has brought bytes, and again after each message while bytes are left.
 *
 *   data          The bytes that wait, from the first that was not sent yet. The function may
 *                 write to them. data[length] is 0.
 *   length        How many. At least 1, at most PEER_BUFFER_SIZE.
 *   last_read     How many of these, at the end, the last read brought.
 *   opcode        Set to ws_frame_binary before each call. The function may set it to
 *                 ws_frame_text, if the message is valid UTF-8, or to ws_frame_discard (ours).
 *   framing_data  A pointer for the function's own use, one per connection, null at first.
 *   config        The framing's configuration. May be null.
 *
 * Returns how many bytes at the front are the next message; 0 for "not yet". Anything else, or
 * another opcode, ends this connection with close code 1011. So does a 0 when PEER_BUFFER_SIZE
 * bytes wait, with 1009.
 *
 * If *framing_data is not null when the connection ends, the function is called one last time,
 * with null data, length 0 and last_read 0: it must free what the pointer owns, and touch no data.
 */
typedef int64_t (*ws_framing)(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
	void** framing_data, const char* config);

/* How a peer is reached. */
typedef enum {
	peer_transport_detect, /* by the scheme in `host`, as given below; without one, tcp */
	peer_tcp_client,       /* tcp://host:port */
	peer_udp_client,       /* udp://host:port */
	peer_fifo_tx,          /* fifotx://path: takes what the client sends */
	peer_fifo_rx,          /* fiforx://path: its bytes go to the client */
	peer_unix_stream,      /* unix://path */
	peer_unix_dgram        /* unix-dgram://path */
} peer_transport;

/*
 * The peer for a client. The three strings are null or come from malloc, calloc or strdup, each
 * from its own call, and are at most 65535 bytes long: the core frees them with free. `host` and
 * `port` are UTF-8 without control characters.
 */
typedef struct {
	peer_transport transport;
	char* host;           /* name, address ("[::1]") or path; null: no peer, the client gets a 404 */
	char* port;           /* a number; may be null or "" where `host` ends in it or none is needed */
	ws_framing framing;   /* null: auto */
	char* framing_config; /* for the framing function; may be null */
	size_t protocol;      /* index of the chosen subprotocol; the number offered, or more: none */
} ws_peer_info;

/*
 * A client's connection, as `query` sees it. It and all that it points to is the core's, and gone
 * when `query` returns. Strings may be written to, within their length.
 */
typedef struct {
	int ws_fd; /* the client's socket, to ask things of: getpeername, getsockopt */
	uint8_t read_buffer[WS_MAX_LINE]; /* the core's */
	size_t read_buffer_offset;        /* the core's */
	ws_state state; /* ws_http */

	size_t headers; /* how many are in `header` */
	ws_http_header header[WS_HEADER_LIMIT]; /* the first fields of the request */

	char* request_path; /* path and query, as the client wrote them */
	unsigned websocket_version; /* 13 */
	char* socket_key; /* Sec-WebSocket-Key */
	unsigned want_upgrade; /* 3 */

	size_t protocols; /* how many subprotocols the client offers */
	char** protocol;  /* these, its favourite first, none twice; null when there are none */

	ws_peer_info peer; /* empty */
	int peer_fd; /* -1 */
	uint8_t peer_buffer[PEER_BUFFER_SIZE]; /* the core's */
	size_t peer_buffer_offset; /* the core's */
	void* peer_framing_data; /* the core's */
} websocket;

/*
 * The functions of a back end, each exported under the name in brackets.
 */

/* [init] Called once, first. Returns WEBSOCKSY_API_VERSION; anything else: it is not used. */
typedef uint64_t (*ws_backend_init)(void);

/* [configure] Optional. Called for each key of the operator's, in order. Returns 0 if it is good. */
typedef uint64_t (*ws_backend_configure)(char* key, char* value);

/*
 * [query] Called for each client that asks for a WebSocket. It may block: that delays the queries
 * behind it, and nothing else.
 *
 *   endpoint   Path and query, as the client wrote them.
 *   protocols  How many subprotocols the client offers, and `protocol` which, its favourite first.
 *   headers    How many header fields the request has, and `header` which: all of them, in order,
 *              but the handshake's own (Connection, Upgrade, Sec-WebSocket-*).
 *   ws         The connection.
 */
typedef ws_peer_info (*ws_backend_query)(char* endpoint, size_t protocols, char** protocol,
	size_t headers, ws_http_header* header, websocket* ws);

/* [cleanup] Optional. Called once, last. */
typedef void (*ws_backend_cleanup)(void);

/* The four together. */
typedef struct {
	ws_backend_init init;
	ws_backend_configure config;
	ws_backend_query query;
	ws_backend_cleanup cleanup;
} ws_backend;

/* Ours: the most bytes that an envelope has before and after a message. */
#define WS_ENVELOPE_PREFIX 16
#define WS_ENVELOPE_SUFFIX 64

/* Ours: what an encoder returns. */
#define WS_ENVELOPE_NONE 0   /* messages go to the peer as they are */
#define WS_ENVELOPE_STREAM 1 /* they get an envelope that does not depend on their length */
#define WS_ENVELOPE_SIZED 2  /* they get one that does, so the core waits for the whole message */

/* Ours: what goes to the peer around one message of the client's. */
typedef struct {
	size_t prefix_length;
	uint8_t prefix[WS_ENVELOPE_PREFIX];
	size_t suffix_length;
	uint8_t suffix[WS_ENVELOPE_SUFFIX];
} ws_envelope;

/*
 * Ours: an encoder, the other way of a framing. The framing function cuts what comes from the
 * peer; the encoder marks where a message that goes to the peer begins and ends.
 *
 * It is called twice a message: for the prefix, when the message begins, and for the suffix, when
 * it ends. WS_ENVELOPE_SIZED means that both calls have the same length, the message's.
 *
 *   length  Bytes of the message; with WS_ENVELOPE_STREAM those of its first fragment in the first
 *           call and of its last fragment in the second, so no more than a hint.
 *   opcode  ws_frame_text or ws_frame_binary.
 *   config  The framing's configuration. May be null.
 *   out     To be filled in; all zero. Null in the one call at the start of a connection that only
 *           asks what will be returned.
 *
 * Returns one of WS_ENVELOPE_*. Anything else in the call that only asks refuses the client with
 * 500, and later on ends the connection with close code 1011.
 */
typedef int (*ws_encoder)(uint64_t length, ws_operation opcode, const char* config,
	ws_envelope* out);

/*
 * What the core exports to plug-ins, for any thread.
 */

/* The framing function of this name; `auto` for null and for an unknown name. */
ws_framing core_framing(char* name);

/*
 * Ours (and the later C program's): gives a framing function a name. Returns 0; non-zero for a
 * null argument, and for a name that is taken.
 */
int core_register_framing(char* name, ws_framing framing);

/*
 * Ours: gives a framing that a plug-in registered its encoder. Returns 0; non-zero for a null
 * argument, a name that no plug-in registered, and a framing that has an encoder.
 */
int core_register_encoder(char* name, ws_encoder encoder);

/* Turns the ASCII letters of `in` into lower case where they stand. Returns `in`. */
char* xstr_lower(char* in);

/* Of the first websocksy, for itself. Declared there, so here; not exported to plug-ins. */
int client_register(websocket* ws);
int client_connect(websocket* ws);

#ifdef __cplusplus
}
#endif

#endif
