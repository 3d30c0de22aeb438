/*
 * websocksy.h: what plug-ins and the core promise each other, API version 1.
 *
 * A plug-in is a shared object that the core loads when it starts, and never unloads.
 *
 *   backend_NAME.so   a back end: says which peer a client is bridged to. One is chosen.
 *   anything else.so  brings framing functions: its constructor registers them by name.
 *
 * Needs nothing but the C library; also good for C++. Names, values and layouts are those of the
 * first websocksy's API version 1, with a `websocket` of 33,080 bytes on 64-bit machines: plug-ins
 * that were built against that header load as they are. Those for its later versions, whose struct
 * and functions are others, have to be compiled again, against this one. What this core has beyond
 * it is marked "ours".
 *
 *   cc -shared -fPIC -I backends/include -o backend_mine.so mine.c
 *
 * Which thread: constructors run on the main thread. A back end has a thread of its own, on which
 * `init` and `configure` run before any client is there, `query` for each client, and `cleanup`
 * after the last; --query-threads above 1 adds threads for `query` alone. Framing functions and
 * encoders run on the event loop, where they must not block.
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
/* How many header fields a `websocket` holds and `query` is handed; core_header has all (ours). */
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
	ws_frame_discard = 11, /* Ours, on no wire: a framing function's word for "send these to nobody". */
	ws_frame_more = 16 /* Ours, on no wire: added to text or binary, "send these, the message goes on". */
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
 *                 Ours as well: ws_frame_text + ws_frame_more or ws_frame_binary + ws_frame_more
 *                 for the front of a message that is longer than the buffer. It is sent at once, as
 *                 a fragment (RFC 6455, section 5.4), and what the function cuts next belongs to
 *                 the same message, until it returns without ws_frame_more. The first fragment
 *                 says whether the message is text. Cores before 1.1 end the connection with 1011.
 *   framing_data  A pointer for the function's own use, one per connection, null at first.
 *   config        The framing's configuration: the operator's text, or the very pointer that
 *                 `query` returned. May be null.
 *
 * Returns how many bytes at the front are the next message; 0 for "not yet", with ws_frame_text (ours) if
 * what waits is a text message should the stream, or the datagram, end behind it. Anything else, or
 * another opcode, ends this connection with close code 1011. So does a 0 when PEER_BUFFER_SIZE
 * bytes wait, with 1009.
 *
 * If *framing_data is not null when the connection ends, the function is called one last time,
 * with null data, length 0 and last_read 0: it must free what the pointer owns, and touch no data.
 *
 * A plug-in may call the core's own framings, with null for opcode and framing_data if it likes;
 * `auto` and `binary` leave nothing in the latter.
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
 * The peer for a client. The three pointers are null or come from malloc, calloc or strdup, each
 * from its own call; the core frees them with free: `host` and `port` at once, `framing_config` at
 * the end of the session. `host` and `port` are UTF-8 without control characters, and at most 65535
 * bytes long. `framing_config` is a string of at most as many bytes if the framing is one of the
 * core's; to a framing function of a plug-in it is handed as it is, whatever it points to.
 */
typedef struct {
	peer_transport transport;
	char* host;           /* name, address ("[::1]") or path; null: no peer, the client gets a 404 */
	char* port;           /* number or service name; null or "" if `host` ends in it or needs none */
	ws_framing framing;   /* null: auto */
	char* framing_config; /* for the framing function; may be null */
	size_t protocol;      /* index of the chosen subprotocol; the number offered, or more: none */
} ws_peer_info;

/*
 * A client's connection, lent to `query` until it returns. Strings may be written to, within their
 * length; the core believes nothing that is written here. The struct's own memory stays readable
 * while the client is there, but says nothing of it once `query` has returned: ws_fd is -1 then,
 * pointers are null and counts 0 (and all of it is zero when the memory is used for nothing else).
 */
typedef struct {
	int ws_fd; /* a duplicate of the client's socket, to ask things of: getpeername, getsockopt */
	uint8_t read_buffer[WS_MAX_LINE]; /* the core's: what the client sent behind its request */
	size_t read_buffer_offset;        /* how much that is */
	ws_state state; /* ws_http */

	size_t headers; /* how many are in `header` */
	ws_http_header header[WS_HEADER_LIMIT]; /* the first fields, as `query` is handed them */

	char* request_path; /* path and query, as the client wrote them */
	unsigned websocket_version; /* 13 */
	char* socket_key; /* Sec-WebSocket-Key */
	unsigned want_upgrade; /* 3 */

	size_t protocols; /* how many subprotocols the client offers */
	char** protocol;  /* these, its favourite first, none twice; null when there are none */

	ws_peer_info peer; /* empty */
	int peer_fd; /* -1 */
	uint8_t peer_buffer[PEER_BUFFER_SIZE]; /* the core's */
	size_t peer_buffer_offset; /* 0 */
	void* peer_framing_data; /* null */
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
 *   headers    How many header fields there are in `header`, at most WS_HEADER_LIMIT: the first of
 *              the request, in order, but for Connection, Upgrade and Sec-WebSocket-Key, -Version
 *              and -Protocol. It is the array in `ws`. For the others see core_header (ours).
 *   ws         The connection.
 */
typedef ws_peer_info (*ws_backend_query)(char* endpoint, size_t protocols, char** protocol,
	size_t headers, ws_http_header* header, websocket* ws);

/* [cleanup] Optional. Called once, last. */
typedef void (*ws_backend_cleanup)(void);

/*
 * [websocksy_check] Ours, optional, beside the four. Called once, after the last `configure` and
 * before the first `query`. Returns 0 if the configuration will do as a whole. The last warning or
 * error that it, or a `configure` that refuses, hands to `core_log` is shown as the reason.
 */
typedef uint64_t (*ws_backend_check)(void);

/*
 * [websocksy_ended] Ours, optional, beside the four. Called once for each session whose `query` was called,
 * when both are over, on the back end's own thread: `session` is what core_session said, `reason` the log's
 * name of the ending ("client-closed", "peer-unreachable"), a string that lives until the call returns. A
 * back end that lags 65,536 of them behind misses some. `cleanup` comes after the last.
 */
typedef void (*ws_backend_ended)(uint64_t session, const char* reason);

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
 *           asks what will be returned, and in that of `core_check_peer`, which comes on any thread.
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
 * Ours (and later versions of the first websocksy have it): gives a framing function a name.
 * Returns 0; non-zero for a null argument, and for a name that is taken.
 */
int core_register_framing(char* name, ws_framing framing);

/*
 * Ours: gives a framing that a plug-in registered its encoder. Returns 0; non-zero for a null
 * argument, a name that no plug-in registered, and a framing that has an encoder.
 */
int core_register_encoder(char* name, ws_encoder encoder);

/* Turns the ASCII letters of `in` into lower case where they stand. Returns `in`. */
char* xstr_lower(char* in);

/*
 * Ours: all header fields of a request, not only the first ten; without the five named at `query`.
 * For a back end while its `query` runs, on any of its threads, with the `ws` that it was handed;
 * strings live as long as those of `ws`. With another `ws`, or later, there are no fields.
 *
 * core_header_count: how many there are.
 * core_header_at:    one of them, by its place from 0; null beyond the last.
 * core_header:       the value of the first of that name, in any case; null if there is none.
 */
size_t core_header_count(websocket* ws);
ws_http_header* core_header_at(websocket* ws, size_t index);
char* core_header(websocket* ws, const char* name);

/*
 * Ours: refuses the client whose `query` runs with this `ws`, on any of its threads, and says why.
 * What `query` returns then counts for nothing but to be freed; the last call holds. Without a call,
 * a null host is status 404.
 *
 *   status       401, 403, 404, 429 or 503.
 *   reason       For the client and the log; UTF-8, of which the first 123 bytes are taken. May be
 *                null.
 *   retry_after  Seconds after which the client may try again; 0 to say nothing of it.
 *
 * Returns 0; non-zero for another status, which is logged, and when no query runs with this `ws`.
 */
int core_refuse(websocket* ws, int status, const char* reason, unsigned retry_after);

/*
 * Ours: what is known of the client whose `query` runs with this `ws`, on any of its threads. Null for
 * what is not known, for another name, and when no query runs with this `ws`. The string lives as long as
 * those of `ws`.
 *
 *   address   Its IP address, as verified proxies say it; not known of a client on a Unix socket.
 *   port      Its port.
 *   proxy     The trusted proxy that it comes by: address and port, or "unix".
 *   user      Its name, with --auth-file.
 *   listener  Where it came in: "[::]:8001", "unix:/run/websocksy.sock".
 *   tls-version  The TLS that it speaks: "TLSv1.3"; not known of a client that a proxy speaks it for.
 *   tls-server-name  The host that it asked for in TLS (RFC 6066, section 3).
 *   tls-subject  Whom its certificate is of, as RFC 4514 writes it: "CN=alice,O=Example"; of one that was
 *                verified by --tls-client-ca, also earlier in a session that is resumed.
 */
const char* core_client(websocket* ws, const char* name);

/*
 * Ours: the peer that this `query` returns is sent a PROXY header of this version, 1 or 2, before anything
 * else, or with 0 none, whatever --send-proxy says. It means nothing to peers that are no servers over
 * a stream. The last call holds.
 *
 * Returns 0; non-zero for another version, which is logged, and when no query runs with this `ws`.
 */
int core_send_proxy(websocket* ws, int version);

/*
 * Ours: names one more peer for the client whose `query` runs with this `ws`, on any of its threads. If the
 * one that `query` returns cannot be reached, these are tried in the order of the calls, 15 at most, each
 * with an equal share of the time that --connect-timeout leaves. `host` has its scheme, `port` may be null;
 * framing, its configuration and the subprotocol are those that `query` returns.
 *
 * Returns 0; non-zero for an address that can be none, which is logged, for one too many, and when no query
 * runs with this `ws`.
 */
int core_add_peer(websocket* ws, const char* host, const char* port);

/*
 * Ours: the number of the session whose `query` runs with this `ws`, for `websocksy_ended`. No other session
 * of this process has it. 0 when no query runs with this `ws`.
 */
uint64_t core_session(websocket* ws);

/*
 * Ours: the session whose `query` runs with this `ws` is ended `seconds` after that, if it lasts so long, and
 * the client gets a close frame with `code`, which may be any that RFC 6455, section 7.4 lets one send. The
 * operator's --max-session stays as it is; whichever is earlier counts. The last call holds.
 *
 * Returns 0; non-zero for 0 seconds and another code, which is logged, and when no query runs with this `ws`.
 */
int core_max_session(websocket* ws, unsigned seconds, int code);

/*
 * Ours: a text that the log is not to have, as one that lets its bearer in; it shows *** there. With the `ws`
 * of a `query` that runs: in what is logged of that client's path, Origin and subprotocols, as they were
 * sent. With null: in all lines from now on, four bytes or more of it.
 *
 * Returns 0; non-zero for null, an empty text, one of more than 1024 bytes, one too many (8 of a client, 64 in
 * all) and when no query runs with this `ws`.
 */
int core_secret(websocket* ws, const char* text);

/*
 * Ours: counts `by` more of what is called `name`, for the operator's metrics: lower-case letters, digits
 * and `_`, a letter first, 64 bytes at most. With 0 the count is there from the start.
 *
 * Returns 0; non-zero for another name, and for the 65th of all plug-ins.
 */
int core_count(const char* name, uint64_t by);

/*
 * Ours: judges a peer that an operator wrote in a configuration of the back end's own, as the core judges
 * that of the built-in one: `host` with its scheme, the framing by its name. `port`, `framing` and
 * `framing_config` may be null. If the framing has an encoder, it is asked too, on this thread.
 *
 * Returns 0 if it will do. If not, what is wrong, and what would be right, is in `reason`: UTF-8 with
 * a zero, cut to `size` bytes; 512 are enough.
 */
int core_check_peer(const char* host, const char* port, const char* framing,
	const char* framing_config, char* reason, size_t size);

/* Ours: what a line of the log is. */
#define WS_LOG_ERROR 1
#define WS_LOG_WARNING 2
#define WS_LOG_INFO 3
#define WS_LOG_DEBUG 4

/*
 * Ours: a line for the log, with one of WS_LOG_*. Takes no time to speak of: a log that nobody
 * reads loses lines. Control characters are escaped, and what is longer than 512 bytes is cut.
 */
void core_log(int level, const char* line);

/*
 * Of the first websocksy, for itself; declared there, so here. Both do nothing and return non-zero.
 */
int client_register(websocket* ws);
int client_connect(websocket* ws);

#ifdef __cplusplus
}
#endif

#endif
