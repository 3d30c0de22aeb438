/*
 * A back end that crashes when a client asks for /crash, or ends the process at /leave, or when it is told to. Its peer is on this machine, at the port that
 * it is configured with. It counts what it is asked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <websocksy.h>

static char* port;

uint64_t init(void) {
	return WEBSOCKSY_API_VERSION;
}

uint64_t configure(char* key, char* value) {
	if (strcmp(key, "crash") == 0) {
		fprintf(stderr, "about to crash in configure\n");
		*(volatile int*)0 = 1;
	}
	if (strcmp(key, "leave") == 0) {
		exit(0);
	}
	if (strcmp(key, "vanish") == 0) {
		_exit(0);
	}
	if (strcmp(key, "helper") == 0) {
		/* What it forks ends by itself, and is nobody's fault. */
		int status = 1;
		pid_t child = fork();

		if (child == 0) {
			exit(0);
		}
		return waitpid(child, &status, 0) != child || status != 0;
	}
	port = strdup(value);
	core_count("crash_queries", 0);
	return strcmp(key, "port") != 0;
}

ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	ws_peer_info info = {.protocol = protocols, .transport = peer_tcp_client};

	(void)protocol, (void)headers, (void)header, (void)ws;
	core_count("crash_queries", 1);
	if (strcmp(endpoint, "/crash") == 0) {
		fprintf(stderr, "about to crash\n");
		*(volatile int*)0 = 1;
	}
	if (strcmp(endpoint, "/leave") == 0) {
		exit(0);
	}
	info.framing = core_framing("auto");
	info.host = strdup("127.0.0.1");
	info.port = strdup(port);
	return info;
}

void cleanup(void) {
}
