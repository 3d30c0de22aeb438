/*
 * A back end that tries what a plug-in that somebody took over would try, once when it is configured and
 * once for each query, and says on standard error what came of it: "confined: WHEN: WHAT: ERRNO".
 *
 *   secret=@PATH   a file to read; what begins otherwise the daemon takes for what the operator names
 *   made=@PATH     a file to make
 *   peer=HOST      the peer of everybody
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <websocksy.h>

static char secret[256], made[256], peer_host[256];

static void say(const char* when, const char* what, int failed) {
	char line[256];
	int used = snprintf(line, sizeof(line), "confined: %s: %s: %s\n", when, what,
		failed ? strerrorname_np(errno) : "DONE");

	if(write(STDERR_FILENO, line, (size_t)used) < 0) {
		abort();
	}
}

static void try_to_open(const char* when, const char* what, const char* path, int flags) {
	int fd = open(path, flags, 0600);

	say(when, what, fd < 0);
	if(fd >= 0) {
		close(fd);
	}
}

/* A child, since it would be another program. */
static void try_to_run(const char* when) {
	pid_t child = fork();

	if(child == 0) {
		execl("/bin/true", "true", NULL);
		say(when, "run", 1);
		_exit(1);
	}
	waitpid(child, NULL, 0);
}

static void try_all(const char* when) {
	int other = socket(AF_VSOCK, SOCK_STREAM, 0);

	say(when, "family", other < 0);
	if(other >= 0) {
		close(other);
	}
	try_to_open(when, "read", secret + 1, O_RDONLY);
	try_to_open(when, "make", made + 1, O_WRONLY | O_CREAT | O_TRUNC);
	try_to_run(when);
	say(when, "signal", kill(getppid(), 0));
	say(when, "look into", process_vm_readv(getppid(), NULL, 0, NULL, 0, 0) < 0);
}

uint64_t init(void) {
	return WEBSOCKSY_API_VERSION;
}

uint64_t configure(char* key, char* value) {
	char* known = !strcmp(key, "secret") ? secret : !strcmp(key, "made") ? made : peer_host;

	strncpy(known, value, sizeof(secret) - 1);
	if(known == peer_host) {
		try_all("configure");
	}
	return 0;
}

ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
	ws_http_header* header, websocket* ws) {
	ws_peer_info info = {.protocol = protocols};

	(void)endpoint, (void)protocol, (void)headers, (void)header, (void)ws;
	try_all("query");
	info.host = strdup(peer_host);
	return info;
}

void cleanup(void) {
}
