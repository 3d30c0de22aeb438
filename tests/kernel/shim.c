/*
 * Stands between the daemon and the C library (LD_PRELOAD), and lets calls fail that fail on a real
 * machine once in a blue moon. What it does, the environment says:
 *
 *   SHIM_ACCEPT=N         the first accept4 fails with this errno, as do those up to SHIM_ACCEPTS
 *   SHIM_EPOLL=PATH       while there is a file PATH with a number in it, that many epoll_ctl calls
 *                         that add a descriptor succeed, the next fails with ENOSPC, and the file
 *                         is gone
 *   SHIM_SOCKET=N         every socket for IPv4 but the first, the listener, fails with it
 *   SHIM_STRANGER=1       a stranger sends a datagram to each datagram socket in the moment in which
 *                         it has an address and is not connected yet, if there is such a moment
 *   SHIM_TOO_LONG=1       the first send to a datagram socket fails with EMSGSIZE, and so does the first
 *                         read: the path got narrower behind an earlier datagram (ip(7))
 *   SHIM_INTERRUPTS=1     half of the calls that wait, read or write are interrupted
 *
 * And it looks up names under .test, the top-level domain that is nobody's (RFC 6761, 6.2).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int number(const char* variable) {
	const char* value = getenv(variable);

	return value ? atoi(value) : 0;
}

/* Whether this call is interrupted: by chance, since a caller may take turns, too. */
static int interrupted(void) {
	static _Thread_local unsigned chance = 1;

	chance = chance * 1103515245 + 12345; /* the example generator of C11, 7.22.2 */
	if(!number("SHIM_INTERRUPTS") || chance >> 31) {
		return 0;
	}
	errno = EINTR;
	return 1;
}

int accept4(int fd, struct sockaddr* address, socklen_t* length, int flags) {
	static int calls;

	if(number("SHIM_ACCEPT") && calls++ < number("SHIM_ACCEPTS")) {
		errno = number("SHIM_ACCEPT");
		return -1;
	}
	return interrupted() ? -1 : REAL(accept4)(fd, address, length, flags);
}

/* Whether this descriptor is the one that finds no room. */
static int no_room(void) {
	const char* path = getenv("SHIM_EPOLL");
	FILE* file = path ? fopen(path, "r+") : NULL;
	int left = 0;

	if(!file) {
		return 0;
	}
	if(fscanf(file, "%d", &left) != 1 || left == 0) {
		unlink(path);
	} else {
		rewind(file);
		fprintf(file, "%d\n", left - 1);
	}
	fclose(file);
	return left == 0;
}

int epoll_ctl(int poll, int operation, int fd, struct epoll_event* event) {
	if(operation == EPOLL_CTL_ADD && no_room()) {
		errno = ENOSPC;
		return -1;
	}
	return REAL(epoll_ctl)(poll, operation, fd, event);
}

int socket(int domain, int type, int protocol) {
	static int calls;

	if(number("SHIM_SOCKET") && domain == AF_INET && calls++) {
		errno = number("SHIM_SOCKET");
		return -1;
	}
	return REAL(socket)(domain, type, protocol);
}

/* A datagram for whoever has this socket's address, from nobody whom it is connected to. */
static void stranger(int fd) {
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof(address);
	int from;

	if(getsockname(fd, (struct sockaddr*)&address, &size) || size <= sizeof(sa_family_t)) {
		return;
	}
	from = REAL(socket)(address.ss_family, SOCK_DGRAM, 0);
	if(address.ss_family == AF_INET) {
		((struct sockaddr_in*)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	sendto(from, "forged", 6, 0, (struct sockaddr*)&address, size);
	close(from);
}

static int is_datagram(int fd) {
	int type = 0;
	socklen_t size = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_DGRAM;
}

int connect(int fd, const struct sockaddr* address, socklen_t length) {
	struct sockaddr_in any = {.sin_family = AF_INET};
	struct sockaddr_in own = {0};
	socklen_t size = sizeof(own);

	if(number("SHIM_STRANGER") && is_datagram(fd)) {
		/* The kernel gives it a port first, and what comes then is not the peer's. */
		if(address->sa_family == AF_INET && !getsockname(fd, (struct sockaddr*)&own, &size)
			&& !own.sin_port) {
			REAL(bind)(fd, (struct sockaddr*)&any, sizeof(any));
		}
		stranger(fd);
	}
	return REAL(connect)(fd, address, length);
}

int bind(int fd, const struct sockaddr* address, socklen_t length) {
	int result = REAL(bind)(fd, address, length);

	if(!result && number("SHIM_STRANGER") && is_datagram(fd)) {
		stranger(fd);
	}
	return result;
}

int epoll_wait(int poll, struct epoll_event* events, int most, int timeout) {
	return interrupted() ? -1 : REAL(epoll_wait)(poll, events, most, timeout);
}

/* Whether an error of the path's is told by this call, the first of its kind. */
static int too_long(int fd, int* calls) {
	if(!number("SHIM_TOO_LONG") || !is_datagram(fd) || (*calls)++) {
		return 0;
	}
	errno = EMSGSIZE;
	return 1;
}

ssize_t recv(int fd, void* data, size_t length, int flags) {
	static int calls;

	if(length && too_long(fd, &calls)) {
		return -1;
	}
	return interrupted() ? -1 : REAL(recv)(fd, data, length, flags);
}

ssize_t send(int fd, const void* data, size_t length, int flags) {
	static int calls;

	if(too_long(fd, &calls)) {
		return -1;
	}
	return interrupted() ? -1 : REAL(send)(fd, data, length, flags);
}

ssize_t writev(int fd, const struct iovec* parts, int count) {
	return interrupted() ? -1 : REAL(writev)(fd, parts, count);
}

static int is(const char* node, const char* name) {
	size_t length = node ? strlen(node) : 0, end = strlen(name);

	return length >= end && !strcmp(node + length - end, name);
}

int getaddrinfo(const char* node, const char* service, const struct addrinfo* hints,
	struct addrinfo** result) {
	static const char* several[] = {"127.0.0.2", "127.0.0.3", "::1", "127.0.0.1"};
	size_t n;
	int status;

	if(is(node, "silent.test")) {
		sleep(60);
		return EAI_AGAIN;
	}
	if(is(node, "several.test")) {
		for(n = 0; n < sizeof(several) / sizeof(*several); n++) {
			status = REAL(getaddrinfo)(several[n], service, hints, result);
			if(status) {
				return status;
			}
			while(*result) {
				result = &(*result)->ai_next;
			}
		}
		return 0;
	}
	if(is(node, "late.test")) {
		sleep(1);
	}
	return REAL(getaddrinfo)(is(node, ".test") ? "127.0.0.1" : node, service, hints, result);
}
