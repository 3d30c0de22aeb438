/*
 * inject CONTROL PROGRAM ARGUMENTS...: runs a program of which every system call can be made to fail.
 *
 * The program becomes this process; a child of it is told of each of its calls, and those of its
 * threads and of the libraries below it, before the kernel makes them (seccomp_unotify(2)). Calls
 * are told apart by their name and a label: the thread, if it is not the first, and what the call is
 * about, such as the client's socket or the peer's. The child connects to the Unix socket CONTROL
 * and does there what it is told, a line each:
 *
 *   port N                                  clients are those who came to this port
 *   record                                  counts the calls anew
 *   record NAME LABEL                       the same, up to the first such call
 *   calls                                   answers with a line a call, NAME LABEL COUNT, and "."
 *   arm NAME LABEL FIRST LAST ERRNO EDGE    the calls FIRST to LAST of this kind, counted from 0 and
 *                                           from now on, fail. With EDGE 1 the descriptor is ready
 *                                           again after each, as it is after an honest EAGAIN
 *   lift                                    no call fails any more; answers "hits N"
 *   total                                   answers "total N": all calls so far
 *   go                                      the program begins, which waits for it
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the number of this architecture's system calls is not known here"
#endif

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* Our descriptors are out of the way of the program's, some of which we take under their number. */
enum { OURS = 900, LABEL = 96, MOST_CALLS = 1024 };

static void fail(const char* what) {
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(125);
}

/* What the first argument of a call is. */
typedef enum { PLAIN, DESCRIPTOR, PATH, AT_PATH, SOCKET, MAP, CLONE, ADD } subject;

static const struct {
	int number;
	const char* name;
	subject about;
} calls[] = {
#define CALL(name, about) {__NR_##name, #name, about},
	CALL(read, DESCRIPTOR) CALL(write, DESCRIPTOR) CALL(readv, DESCRIPTOR) CALL(writev, DESCRIPTOR)
	CALL(pread64, DESCRIPTOR) CALL(recvfrom, DESCRIPTOR) CALL(recvmsg, DESCRIPTOR)
	CALL(recvmmsg, DESCRIPTOR) CALL(sendto, DESCRIPTOR) CALL(sendmsg, DESCRIPTOR)
	CALL(sendmmsg, DESCRIPTOR) CALL(connect, DESCRIPTOR) CALL(bind, DESCRIPTOR)
	CALL(listen, DESCRIPTOR) CALL(accept4, DESCRIPTOR) CALL(getsockname, DESCRIPTOR)
	CALL(getpeername, DESCRIPTOR) CALL(setsockopt, DESCRIPTOR) CALL(getsockopt, DESCRIPTOR)
	CALL(shutdown, DESCRIPTOR) CALL(fcntl, DESCRIPTOR) CALL(ioctl, DESCRIPTOR)
	CALL(fstat, DESCRIPTOR) CALL(close, DESCRIPTOR) CALL(lseek, DESCRIPTOR)
	CALL(getdents64, DESCRIPTOR) CALL(dup, DESCRIPTOR) CALL(fsync, DESCRIPTOR)
	CALL(epoll_pwait, DESCRIPTOR) CALL(epoll_ctl, ADD) CALL(socket, SOCKET)
	CALL(openat, AT_PATH) CALL(openat2, AT_PATH) CALL(newfstatat, AT_PATH) CALL(statx, AT_PATH)
	CALL(readlinkat, AT_PATH) CALL(unlinkat, AT_PATH) CALL(faccessat, AT_PATH)
	CALL(faccessat2, AT_PATH) CALL(execve, PATH) CALL(mmap, MAP) CALL(clone, CLONE)
	CALL(clone3, CLONE) CALL(brk, PLAIN) CALL(mprotect, PLAIN) CALL(munmap, PLAIN)
	CALL(mremap, PLAIN) CALL(madvise, PLAIN) CALL(prlimit64, PLAIN) CALL(pipe2, PLAIN)
	CALL(socketpair, PLAIN) CALL(eventfd2, PLAIN) CALL(epoll_create1, PLAIN) CALL(getrandom, PLAIN)
	CALL(sigaltstack, PLAIN) CALL(rt_sigaction, PLAIN) CALL(set_tid_address, PLAIN)
	CALL(set_robust_list, PLAIN) CALL(rseq, PLAIN) CALL(prctl, PLAIN) CALL(getcwd, PLAIN)
	CALL(sched_getaffinity, PLAIN) CALL(umask, PLAIN) CALL(uname, PLAIN) CALL(getuid, PLAIN) CALL(geteuid, PLAIN)
	CALL(getgid, PLAIN) CALL(getegid, PLAIN) CALL(getpid, PLAIN) CALL(ppoll, PLAIN)
	CALL(timerfd_create, PLAIN) CALL(kill, PLAIN) CALL(tgkill, PLAIN)
#ifdef __NR_open
	CALL(open, PATH) CALL(stat, PATH) CALL(lstat, PATH) CALL(access, PATH) CALL(readlink, PATH)
	CALL(poll, PLAIN) CALL(epoll_wait, DESCRIPTOR) CALL(arch_prctl, PLAIN) CALL(getrlimit, PLAIN)
	CALL(accept, DESCRIPTOR) CALL(pipe, PLAIN) CALL(dup2, PLAIN) CALL(unlink, PATH)
#endif
#undef CALL
};

/* Calls that do not fail, or that the program does not get to see. */
static const int silent[] = {__NR_futex, __NR_rt_sigreturn, __NR_rt_sigprocmask, __NR_exit,
	__NR_exit_group, __NR_sched_yield, __NR_clock_nanosleep, __NR_nanosleep, __NR_gettid,
	__NR_restart_syscall, __NR_clock_gettime};

enum { CALLS = sizeof(calls) / sizeof(*calls), SILENT = sizeof(silent) / sizeof(*silent) };

typedef struct kind {
	int call;
	char label[LABEL];
	unsigned long seen;
} kind;

static struct {
	pid_t program;
	int process, notifications, control;
	unsigned port;
	bool recording, gone;
	unsigned long total, hits;
	kind kinds[MOST_CALLS];
	size_t count;
	/* The call that is the last to be counted, if there is one. */
	char last_name[64], last_label[LABEL];
	/* The fault, if one is armed. */
	int call, error;
	char label[LABEL];
	unsigned long seen, first, last;
	bool armed, edge;
} it;

static int find(int number) {
	int n;

	for(n = 0; n < CALLS && calls[n].number != number; n++) {
	}
	return n;
}

/* What is behind /proc/PROGRAM/fd/FD, or "". */
static void link_of(int fd, char* target, size_t size) {
	char path[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", it.program, fd);
	length = readlink(path, target, size - 1);
	target[length < 0 ? 0 : length] = 0;
}

/* The program's descriptor as one of ours. */
static int borrow(int fd) {
	return (int)syscall(__NR_pidfd_getfd, it.process, fd, 0);
}

static int option(int fd, int name) {
	int value = 0;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) ? -1 : value;
}

static unsigned port_of(struct sockaddr_storage* address) {
	return ntohs(address->ss_family == AF_INET ? ((struct sockaddr_in*)address)->sin_port
	                                           : ((struct sockaddr_in6*)address)->sin6_port);
}

static const char* unconnected(int domain, int type) {
	bool datagrams = (type & 0xf) == SOCK_DGRAM;

	switch(domain) {
		case AF_INET:
		case AF_INET6:
			return datagrams ? "udp" : "tcp";
		case AF_UNIX:
			return datagrams ? "unix-dgram" : "unix";
		case AF_NETLINK:
			return "netlink";
		default:
			return "socket";
	}
}

/* A socket's part in the program's life. */
static const char* socket_of(int fd) {
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof(address);
	int ours = borrow(fd), domain = option(ours, SO_DOMAIN), type = option(ours, SO_TYPE);
	const char* what = unconnected(domain, type);

	if(option(ours, SO_ACCEPTCONN) > 0) {
		what = "listener";
	} else if(!strcmp(what, "tcp")) {
		if(!getsockname(ours, (struct sockaddr*)&address, &size) && port_of(&address) == it.port) {
			what = "client";
		}
	} else if(!strcmp(what, "unix") && !getpeername(ours, (struct sockaddr*)&address, &size)
		&& size <= offsetof(struct sockaddr_un, sun_path)) {
		what = "signals"; /* a pair that has no name */
	}
	close(ours);
	return what;
}

static const char* descriptor(int fd) {
	static char target[256];
	char standard_error[256];
	char* name;

	link_of(fd, target, sizeof(target));
	link_of(2, standard_error, sizeof(standard_error));
	if(!*target) {
		return "none";
	}
	if(!strcmp(target, standard_error)) {
		return "log";
	}
	if(!strncmp(target, "socket:", 7)) {
		return socket_of(fd);
	}
	if(strstr(target, "eventpoll")) {
		return "epoll";
	}
	if(strstr(target, "eventfd")) {
		return "waker";
	}
	if(!strncmp(target, "pipe:", 5)) {
		return "pipe";
	}
	name = strrchr(target, '/');
	return name ? name + 1 : target;
}

static const char* path(const struct seccomp_notif* notif, uint64_t address) {
	static char name[256];
	struct iovec to = {name, sizeof(name) - 1}, from = {(void*)address, sizeof(name) - 1};
	ssize_t length;
	char* base;

	/* Up to the end of the page, if what is behind it is not there. */
	length = process_vm_readv((pid_t)notif->pid, &to, 1, &from, 1, 0);
	if(length < 0) {
		from.iov_len = 4096 - address % 4096;
		from.iov_len = from.iov_len < sizeof(name) ? from.iov_len : sizeof(name) - 1;
		length = process_vm_readv((pid_t)notif->pid, &to, 1, &from, 1, 0);
	}
	name[length < 0 ? 0 : length] = 0;
	base = strrchr(name, '/');
	return base && base[1] ? base + 1 : name;
}

/* The name of a thread that is not the first, and a colon. */
static void thread_of(const struct seccomp_notif* notif, char* label) {
	char file[64];
	ssize_t length;
	int fd;

	*label = 0;
	if((pid_t)notif->pid == it.program) {
		return;
	}
	snprintf(file, sizeof(file), "/proc/%d/task/%d/comm", it.program, (int)notif->pid);
	fd = open(file, O_RDONLY);
	length = fd < 0 ? 0 : read(fd, label, 32);
	close(fd);
	label[length > 0 ? length - 1 : 0] = 0; /* without the line's end */
	strcat(label, ":");
}

static void label_of(const struct seccomp_notif* notif, subject about, char* label) {
	const __u64* args = notif->data.args;
	const char* what = "-";
	char* c;

	thread_of(notif, label);
	switch(about) {
		case PLAIN:
			break;
		case DESCRIPTOR: /* of fcntl, its command stands behind */
			what = descriptor((int)args[0]);
			break;
		case ADD:
			what = descriptor((int)args[2]);
			break;
		case PATH:
			what = path(notif, args[0]);
			break;
		case AT_PATH:
			what = path(notif, args[1]);
			what = *what ? what : descriptor((int)args[0]);
			break;
		case SOCKET:
			what = unconnected((int)args[0], (int)args[1]);
			break;
		case MAP:
			what = args[3] & MAP_ANONYMOUS ? "memory" : descriptor((int)args[4]);
			break;
		case CLONE:
			what = "thread";
			break;
	}
	strncat(label, what, LABEL - 1 - strlen(label));
	if(notif->data.nr == __NR_fcntl) {
		snprintf(label + strlen(label), LABEL - strlen(label), "+%d", (int)args[1]);
	}
	for(c = label; *c; c++) {
		if(*c == ' ' || *c == '\n') {
			*c = '_';
		}
	}
}

static void count(int call, const char* label) {
	size_t n;

	for(n = 0; n < it.count; n++) {
		if(it.kinds[n].call == call && !strcmp(it.kinds[n].label, label)) {
			it.kinds[n].seen++;
			return;
		}
	}
	if(it.count < MOST_CALLS) {
		it.kinds[it.count].call = call;
		it.kinds[it.count].seen = 1;
		strcpy(it.kinds[it.count++].label, label);
	}
}

/* The descriptor in the line of a poll's fdinfo that is about `fd`, readied again. */
static void edge_in(int poll, int fd) {
	char file[64], line[256];
	struct epoll_event event = {0};
	unsigned long long data;
	unsigned events;
	int target, our_poll, ours;
	FILE* info;

	snprintf(file, sizeof(file), "/proc/%d/fdinfo/%d", it.program, poll);
	info = fopen(file, "r");
	while(info && fgets(line, sizeof(line), info)) {
		if(sscanf(line, "tfd: %d events: %x data: %llx", &target, &events, &data) == 3
			&& target == fd) {
			event.events = events;
			event.data.u64 = data;
			our_poll = borrow(poll);
			ours = borrow(fd);
			/* A poll knows what it watches by file and number. */
			if(dup2(ours, fd) == fd) {
				epoll_ctl(our_poll, EPOLL_CTL_MOD, fd, &event);
			}
			if(ours != fd) {
				close(ours);
			}
			close(fd);
			close(our_poll);
		}
	}
	if(info) {
		fclose(info);
	}
}

/* The next wait of the program's finds `fd` ready, if it is. */
static void edge(int fd) {
	char directory[64], target[256];
	struct dirent* entry;
	DIR* open;

	snprintf(directory, sizeof(directory), "/proc/%d/fd", it.program);
	open = opendir(directory);
	while(open && (entry = readdir(open))) {
		link_of(atoi(entry->d_name), target, sizeof(target));
		if(*entry->d_name != '.' && strstr(target, "eventpoll")) {
			edge_in(atoi(entry->d_name), fd);
		}
	}
	if(open) {
		closedir(open);
	}
}

/* What the call is to fail with, or 0. */
static int judge(const struct seccomp_notif* notif) {
	int call = find(notif->data.nr);
	char label[LABEL + 32];

	it.total++;
	if(call == CALLS) {
		snprintf(label, sizeof(label), "number-%d", notif->data.nr);
		count(call, label);
		return 0;
	}
	if(!it.recording && !(it.armed && it.call == call)) {
		return 0;
	}
	label_of(notif, calls[call].about, label);
	if(it.recording && !strcmp(calls[call].name, it.last_name) && !strcmp(label, it.last_label)) {
		it.recording = false;
	}
	if(it.recording) {
		count(call, label);
	}
	if(!it.armed || it.call != call || strcmp(it.label, label)) {
		return 0;
	}
	if(it.seen < it.first || it.seen > it.last) {
		it.seen++;
		return 0;
	}
	it.seen++;
	it.hits++;
	if(it.edge) {
		edge((int)notif->data.args[0]);
	}
	return it.error;
}

static void notified(void) {
	struct seccomp_notif notif = {0};
	struct seccomp_notif_resp answer = {0};

	if(ioctl(it.notifications, SECCOMP_IOCTL_NOTIF_RECV, &notif)) {
		return;
	}
	answer.id = notif.id;
	answer.error = -judge(&notif);
	if(!answer.error) {
		answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	}
	ioctl(it.notifications, SECCOMP_IOCTL_NOTIF_SEND, &answer); /* fails if the thread is gone */
}

static void say(FILE* to) {
	size_t n;

	for(n = 0; n < it.count; n++) {
		kind* kind = it.kinds + n;
		const char* name = kind->call == CALLS ? "unknown" : calls[kind->call].name;

		fprintf(to, "%s %s %lu\n", name, kind->label, kind->seen);
	}
	fputs(".\n", to);
}

static void arm(const char* line, FILE* to) {
	char name[64], label[LABEL];
	unsigned edge;

	if(sscanf(line, "arm %63s %95s %lu %lu %d %u", name, label, &it.first, &it.last, &it.error, &edge)
		!= 6) {
		fputs("error\n", to);
		return;
	}
	for(it.call = 0; it.call < CALLS && strcmp(calls[it.call].name, name); it.call++) {
	}
	strcpy(it.label, label);
	it.seen = it.hits = 0;
	it.armed = true;
	it.edge = edge;
	fputs(it.call < CALLS ? "ok\n" : "error\n", to);
}

static void told(const char* line, FILE* to) {
	if(!strncmp(line, "port ", 5)) {
		it.port = (unsigned)atoi(line + 5);
		fputs("ok\n", to);
	} else if(!strncmp(line, "record", 6)) {
		it.count = 0;
		it.recording = true;
		*it.last_name = *it.last_label = 0;
		sscanf(line, "record %63s %95s", it.last_name, it.last_label);
		fputs("ok\n", to);
	} else if(!strncmp(line, "calls", 5)) {
		it.recording = false;
		say(to);
	} else if(!strncmp(line, "arm ", 4)) {
		arm(line, to);
	} else if(!strncmp(line, "lift", 4)) {
		it.armed = false;
		fprintf(to, "hits %lu\n", it.hits);
	} else if(!strncmp(line, "go", 2)) {
		it.gone = true;
		fputs("ok\n", to);
	} else if(!strncmp(line, "total", 5)) {
		fprintf(to, "total %lu\n", it.total);
	} else {
		fputs("error\n", to);
	}
	fflush(to);
}

/* Does what it is told; returns whether there is somebody who may tell it more. */
static bool heard(FILE* to) {
	static char line[512];
	static size_t length;
	ssize_t got = read(it.control, line + length, sizeof(line) - 1 - length);
	size_t end;

	if(got <= 0) {
		it.armed = it.recording = false;
		return false;
	}
	length += (size_t)got;
	line[length] = 0;
	while((end = strcspn(line, "\n")) < length) {
		line[end] = 0;
		told(line, to);
		length -= end + 1;
		memmove(line, line + end + 1, length + 1);
	}
	return true;
}

/* Until the program is gone. */
static void serve(FILE* to) {
	struct pollfd fds[2] = {{it.notifications, POLLIN, 0}, {it.control, POLLIN, 0}};

	while(poll(fds, 2, -1) > 0 || errno == EINTR) {
		if(fds[0].revents & POLLIN) {
			notified();
		} else if(fds[0].revents) {
			return;
		}
		if(fds[1].revents && !heard(to)) {
			fds[1].fd = -1;
		}
	}
}

static int high(int fd) {
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, OURS);

	if(moved < 0) {
		fail("descriptor");
	}
	close(fd);
	return moved;
}

static int receive(int from) {
	char byte, space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space,
		.msg_controllen = sizeof(space)};
	int fd = -1;

	if(recvmsg(from, &message, 0) > 0 && CMSG_FIRSTHDR(&message)) {
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	}
	return fd;
}

static void send_fd(int to, int fd) {
	char byte = 0, space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space,
		.msg_controllen = sizeof(space)};
	struct cmsghdr* header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	if(sendmsg(to, &message, 0) < 0) {
		fail("sendmsg");
	}
}

static void supervise(int from, const char* control) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char byte = 0;
	FILE* to;
	int fd;

	it.program = getppid();
	it.process = (int)syscall(__NR_pidfd_open, it.program, 0);
	it.control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strncpy(address.sun_path, control, sizeof(address.sun_path) - 1);
	if(it.process < 0 || connect(it.control, (struct sockaddr*)&address, sizeof(address))) {
		fail(control);
	}
	it.process = high(it.process);
	it.control = high(it.control);
	to = fdopen(high(dup(it.control)), "w");
	while(to && !it.gone) {
		if(!heard(to)) {
			exit(125);
		}
	}
	if(!to || write(from, &byte, 1) != 1) {
		exit(125);
	}
	it.notifications = receive(from);
	if(it.notifications < 0) {
		exit(125);
	}
	it.notifications = high(it.notifications);
	/* The program's standard streams end with the program. */
	for(fd = 0; fd < 64; fd++) {
		close(fd);
	}
	signal(SIGPIPE, SIG_IGN);
	serve(to);
	exit(0);
}

/* Every call is told of, but the silent ones and the one that hands over what tells. */
static int filter(int handover) {
	struct sock_filter code[2 * SILENT + 12], *next = code;
	struct sock_fprog program = {.filter = code};
	long fd;
	int n;

#define ADD(instruction) *next++ = (struct sock_filter)instruction
	ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
	ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	for(n = 0; n < SILENT; n++) {
		ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)silent[n], 0, 1));
		ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	}
	ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sendmsg, 0, 3));
	ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])));
	ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)handover, 0, 1));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
#undef ADD
	program.len = (unsigned short)(next - code);
	fd = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
	if(fd < 0 && errno == EINVAL) {
		fd = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			&program);
	}
	return (int)fd;
}

int main(int argc, char** argv) {
	int pair[2], notifications;
	char byte;
	pid_t child;

	if(argc < 3) {
		fputs("inject CONTROL PROGRAM ARGUMENTS...\n", stderr);
		return 125;
	}
	if(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		fail("socketpair");
	}
	pair[0] = high(pair[0]);
	pair[1] = high(pair[1]);
	child = fork();
	if(child < 0) {
		fail("fork");
	}
	if(!child) {
		close(pair[0]);
		supervise(pair[1], argv[1]);
	}
	close(pair[1]);
	prctl(PR_SET_PTRACER, child, 0, 0, 0); /* where Yama asks for it */
	if(read(pair[0], &byte, 1) != 1) {
		return 125; /* it has said why */
	}
	if(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		fail("prctl");
	}
	notifications = filter(pair[0]);
	if(notifications < 0) {
		_exit(124); /* nothing that this kernel, or what we run in, lets us do */
	}
	send_fd(pair[0], notifications);
	execv(argv[2], argv + 2);
	fail(argv[2]);
}
