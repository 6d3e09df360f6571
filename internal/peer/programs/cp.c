// A control panel around libosdp's own, for benchmarks against it:
//
//	cp LINE REFRESH_MS ADDRESS[=SCBK]...
//
// LINE is the path of a serial device, or fd:N for a descriptor handed down.
// The panel is refreshed each REFRESH_MS, 0 for without a pause; all else is as
// libosdp has it by default. PDs are numbered from 0, in the order of the
// arguments. Orders come in on standard input, a line each:
//
//	out PD OUTPUT CODE TIMER      send OUT now
//	badge OUTPUT CODE TIMER       send OUT to a PD whenever it reports a card
//	file PD TYPE SIZE             send a file of SIZE bytes
//	usage                         report usage
//
// Reports go out on standard output, each one JSON object a line, with the
// nanoseconds of the monotonic clock in "at": ready; online and secure with pd and
// up, when it changes; event with pd and name; done with pd and ok, for each OUT; sent with
// pd, ok and size; usage with cpu_ns of this process and the POLLs it sent.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <osdp.h>

enum { PDS_MOST = 126, MASK = (PDS_MOST + 7) / 8, POLL = 0x60 };

struct sending {
	bool active;
	int size;
	int offset; // read so far
};

static osdp_t *panel;
static int pds;
static uint64_t polls;
static struct osdp_cmd *on_badge; // NULL: nothing
static struct sending sending[PDS_MOST];

static int64_t nanoseconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// report prints one report; format and what follows are the fields after "at".
__attribute__((format(printf, 2, 3))) static void report(const char *is, const char *format, ...)
{
	va_list fields;
	printf("{\"is\":\"%s\",\"at\":%lld", is, (long long)nanoseconds());
	va_start(fields, format);
	vprintf(format, fields);
	va_end(fields);
	printf("}\n");
	fflush(stdout);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

// The line.

static int line_read(void *data, uint8_t *buf, int most)
{
	ssize_t n = read(*(int *)data, buf, most);
	return n < 0 ? 0 : n; // nothing there, or nobody at the other end
}

// command_code gives the code of a command as it stands on the wire, behind the
// MARK, the header and perhaps a security block.
static int command_code(const uint8_t *b, int len)
{
	int at = b[0] == 0xff ? 1 : 0;
	if (len < at + 7)
		return -1;
	bool security_block = b[at + 4] & 0x08;
	at += 5;
	if (security_block)
		at += b[at];
	return at < len ? b[at] : -1;
}

static int line_write(void *data, uint8_t *buf, int len)
{
	if (command_code(buf, len) == POLL)
		polls++;
	return write(*(int *)data, buf, len);
}

static void line_flush(void *data)
{
	tcflush(*(int *)data, TCIFLUSH);
}

static int line_open(const char *where)
{
	struct termios t;
	int fd = strncmp(where, "fd:", 3) == 0 ? atoi(where + 3) : open(where, O_RDWR | O_NOCTTY);
	if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || tcgetattr(fd, &t) < 0)
		fail(where);
	cfmakeraw(&t);
	if (tcsetattr(fd, TCSANOW, &t) < 0)
		fail(where);
	return fd;
}

// The file, whose content is made as it is read.

static int file_open(void *arg, int id, int *size)
{
	(void)id;
	*size = ((struct sending *)arg)->size;
	return 0;
}

static int file_read(void *arg, void *buf, int size, int offset)
{
	struct sending *s = arg;
	int n = size < s->size - offset ? size : s->size - offset;
	for (int i = 0; i < n; i++)
		((uint8_t *)buf)[i] = (offset + i) * 31 + (offset + i) / 251;
	s->offset = offset + n;
	return n;
}

static int file_write(void *arg, const void *buf, int size, int offset)
{
	(void)arg, (void)buf, (void)size, (void)offset;
	return -1;
}

static int file_close(void *arg)
{
	(void)arg;
	return 0;
}

static void file_start(int pd, int type, int size)
{
	struct osdp_file_ops ops = {&sending[pd], file_open, file_read, file_write, file_close};
	struct osdp_cmd cmd = {.id = OSDP_CMD_FILE_TX, .file_tx = {.id = type}};
	sending[pd] = (struct sending){.size = size};
	osdp_file_register_ops(panel, pd, &ops);
	if (osdp_cp_submit_command(panel, pd, &cmd) != 0) {
		report("sent", ",\"pd\":%d,\"ok\":false,\"size\":0", pd);
		return;
	}
	sending[pd].active = true;
}

static void file_progress(int pd)
{
	int size, offset;
	struct sending *s = &sending[pd];
	if (osdp_get_file_tx_status(panel, pd, &size, &offset) != 0) {
		if (s->offset == s->size)
			return; // the PD is finishing, of which the status says nothing
		offset = -1;
	} else if (offset < size) {
		return;
	}
	s->active = false;
	report("sent", ",\"pd\":%d,\"ok\":%s,\"size\":%d", pd, offset == s->size ? "true" : "false", offset);
}

// Commands and events.

static void out(int pd, const struct osdp_cmd *what)
{
	struct osdp_cmd *cmd = malloc(sizeof *cmd); // libosdp's until it is done
	*cmd = *what;
	if (osdp_cp_submit_command(panel, pd, cmd) != 0) {
		free(cmd);
		report("done", ",\"pd\":%d,\"ok\":false", pd);
	}
}

static void done(void *arg, int pd, const struct osdp_cmd *cmd, enum osdp_completion_status status)
{
	(void)arg;
	report("done", ",\"pd\":%d,\"ok\":%s", pd, status == OSDP_COMPLETION_OK ? "true" : "false");
	free((void *)cmd);
}

static int event(void *arg, int pd, struct osdp_event *e)
{
	static const char *const names[] = {"", "RAW", "KEYPAD", "MFGREP", "STATUS", "NOTIFICATION"};
	(void)arg;
	if (e->type == OSDP_EVENT_CARDREAD && on_badge != NULL)
		out(pd, on_badge);
	report("event", ",\"pd\":%d,\"name\":\"%s\"", pd, names[e->type]);
	return 0;
}

// tell_changes reports the bits of now that differ from was, and has was follow.
static void tell_changes(const char *what, uint8_t *was, const uint8_t *now)
{
	for (int pd = 0; pd < pds; pd++) {
		int bit = 1 << pd % 8;
		if ((was[pd / 8] ^ now[pd / 8]) & bit)
			report(what, ",\"pd\":%d,\"up\":%s", pd, now[pd / 8] & bit ? "true" : "false");
	}
	memcpy(was, now, MASK);
}

static void status(void)
{
	static uint8_t online[MASK], secure[MASK];
	uint8_t now[MASK] = {0};
	osdp_get_status_mask(panel, now);
	tell_changes("online", online, now);
	osdp_get_sc_status_mask(panel, now);
	tell_changes("secure", secure, now);
}

static void usage(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	long long us = (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000LL + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
	report("usage", ",\"cpu_ns\":%lld,\"polls\":%llu", us * 1000, (unsigned long long)polls);
}

// Orders. A thread waits for them, so that the panel's own loop need not look
// at standard input each time.

static char order[256];
static atomic_bool ordered;

static void *listen(void *arg)
{
	(void)arg;
	while (fgets(order, sizeof order, stdin) != NULL) {
		atomic_store(&ordered, true);
		while (atomic_load(&ordered))
			usleep(1000);
	}
	_exit(0); // whoever started us is gone
}

static void obey(void)
{
	int a, b, c, d;
	static struct osdp_cmd badge;
	if (sscanf(order, "out %d %d %d %d", &a, &b, &c, &d) == 4)
		out(a, &(struct osdp_cmd){.id = OSDP_CMD_OUTPUT, .output = {b, c, d}});
	else if (sscanf(order, "badge %d %d %d", &b, &c, &d) == 3) {
		badge = (struct osdp_cmd){.id = OSDP_CMD_OUTPUT, .output = {b, c, d}};
		on_badge = &badge;
	} else if (sscanf(order, "file %d %d %d", &a, &b, &c) == 3)
		file_start(a, b, c);
	else if (strcmp(order, "usage\n") == 0)
		usage();
	else
		fprintf(stderr, "cp: no such order: %s", order);
	atomic_store(&ordered, false);
}

// parse_key reads 32 hexadecimal digits.
static bool parse_key(const char *hex, uint8_t key[16])
{
	if (strlen(hex) != 32)
		return false;
	for (int i = 0; i < 16; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &key[i]) != 1)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	static osdp_pd_info_t info[PDS_MOST];
	static uint8_t keys[PDS_MOST][16];
	static int line;
	pthread_t listener;

	if (argc < 4 || argc - 3 > PDS_MOST) {
		fprintf(stderr, "usage: cp LINE REFRESH_MS ADDRESS[=SCBK]...\n");
		return 2;
	}
	line = line_open(argv[1]);
	int refresh_us = atoi(argv[2]) * 1000;
	for (pds = 0; pds < argc - 3; pds++) {
		char *key = strchr(argv[pds + 3], '=');
		info[pds].address = atoi(argv[pds + 3]);
		info[pds].baud_rate = 115200;
		info[pds].channel = (struct osdp_channel){.data = &line, .id = 1, .recv = line_read, .send = line_write, .flush = line_flush};
		if (key != NULL) {
			if (!parse_key(key + 1, keys[pds])) {
				fprintf(stderr, "cp: PD %d: want a key of 32 hexadecimal digits\n", pds);
				return 2;
			}
			info[pds].scbk = keys[pds];
		}
	}
	osdp_logger_init("cp", OSDP_LOG_WARNING, NULL);
	panel = osdp_cp_setup(pds, info);
	if (panel == NULL)
		return 1;
	osdp_cp_set_event_callback(panel, event, NULL);
	osdp_cp_set_command_completion_callback(panel, done, NULL);
	if (pthread_create(&listener, NULL, listen, NULL) != 0)
		fail("pthread_create");
	report("ready", "%s", "");
	for (;;) {
		if (atomic_load(&ordered))
			obey();
		osdp_cp_refresh(panel);
		status();
		for (int pd = 0; pd < pds; pd++)
			if (sending[pd].active)
				file_progress(pd);
		if (refresh_us > 0)
			usleep(refresh_us);
	}
}
