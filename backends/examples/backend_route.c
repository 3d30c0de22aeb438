/*
 * route: an example of a back end. Each key is an endpoint, its value the peer behind it.
 *
 *   websocksy --plugins DIR -b route -c /desktop=tcp://localhost:5900 -c /chat=unix:///run/chat
 *
 * A peer that is written as "-" is away: its clients are told to come back later.
 *
 * A back end is found by its file's name, backend_route.so, and by the four functions below.
 */
#include <stdio.h>
#include <string.h>
#include <websocksy.h>

typedef struct route {
	char* endpoint;
	char* peer;
	struct route* next;
} route;

static route* routes = NULL;

/* Says which API this file was compiled for; the core loads no back end that answers otherwise. */
uint64_t init(void) {
	return WEBSOCKSY_API_VERSION;
}

/* Called for each key of the configuration. Key and value are the core's: copy what is kept. */
uint64_t configure(char* key, char* value) {
	route* added;

	if (key[0] != '/') {
		fprintf(stderr, "route: '%s' is no endpoint: those start with a slash\n", key);
		return 1; /* refused: the daemon does not start */
	}
	added = calloc(1, sizeof(route));
	if (!added) {
		return 1;
	}
	added->endpoint = strdup(key);
	added->peer = strdup(value);
	if (!added->endpoint || !added->peer) {
		free(added->endpoint);
		free(added->peer);
		free(added);
		return 1;
	}
	added->next = routes;
	routes = added;
	return 0;
}

/*
 * Called for each client, on a thread of its own kind: it may block, and other queries wait. With
 * --query-threads it may also run beside itself. This one only reads what configure() wrote, which
 * was long before.
 *
 * All arguments are the core's and end with the call. The strings in the answer are the core's
 * from then on, which frees them: they must come from malloc, calloc or strdup.
 */
ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	/* Zeros say: no host, so no peer; transport by the host's scheme; framing auto. */
	ws_peer_info peer = {.protocol = protocols /* none of those offered */};
	size_t path = strcspn(endpoint, "?");
	route* at;

	(void)protocol;
	(void)headers;
	(void)header;
	for (at = routes; at; at = at->next) {
		if (strlen(at->endpoint) == path && !strncmp(at->endpoint, endpoint, path)) {
			if (!strcmp(at->peer, "-")) {
				/* Without this call, no host would be a 404. */
				core_refuse(ws, 503, "this peer is away", 60);
				break;
			}
			peer.host = strdup(at->peer);
			peer.protocol = 0; /* the first that is offered; if none is, this says "none" */
			break;
		}
	}
	return peer;
}

/* Called at the end, after the last query. */
void cleanup(void) {
	while (routes) {
		route* next = routes->next;

		free(routes->endpoint);
		free(routes->peer);
		free(routes);
		routes = next;
	}
}
