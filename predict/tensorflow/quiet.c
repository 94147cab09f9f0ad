// Keeps two lines off stderr that TensorFlow writes as its library is opened, before it heeds
// TF_CPP_MIN_LOG_LEVEL. The variable in their second, TF_ENABLE_ONEDNN_OPTS, would change answers.
//
// C's stream is exchanged, not the file descriptor: what Go writes, and its report of a crash, has
// none of this in its way, and all other lines of C go on to stderr at once.
#define _GNU_SOURCE
#include "capi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__GLIBC__) || defined(__APPLE__) // where stderr is a variable

static int unasked(const char *line, size_t n) {
	static const char first[] = "WARNING: All log messages before absl::InitializeLog()", second[] = "oneDNN custom operations are on";
	if (n >= sizeof first - 1 && memcmp(line, first, sizeof first - 1) == 0) return 1;
	for (size_t i = 0; line[0] == 'I' && i + sizeof second - 1 <= n; i++)
		if (memcmp(line + i, second, sizeof second - 1) == 0) return 1;
	return 0;
}

static void forward(const char *text, size_t n) {
	while (n > 0) {
		ssize_t written = write(STDERR_FILENO, text, n);
		if (written <= 0) return; // nobody could be told
		text += written;
		n -= (size_t)written;
	}
}

// TensorFlow writes a line in one piece.
static ssize_t filter(void *cookie, const char *text, size_t n) {
	(void)cookie;
	for (size_t rest = n; rest > 0;) {
		const char *end = memchr(text, '\n', rest);
		size_t line = end == NULL ? rest : (size_t)(end - text) + 1;
		if (!unasked(text, line)) forward(text, line);
		text += line;
		rest -= line;
	}
	return (ssize_t)n;
}

#ifdef __APPLE__
static int filter_int(void *cookie, const char *text, int n) { return (int)filter(cookie, text, (size_t)n); }
static FILE *filtered(void) { return fwopen(NULL, filter_int); }
#else
static FILE *filtered(void) { return fopencookie(NULL, "w", (cookie_io_functions_t){.write = filter}); }
#endif

static FILE *own, *other;

void forgo_quiet(void) {
	const char *level = getenv("TF_CPP_MIN_LOG_LEVEL");
	if (getenv("TF_CPP_VMODULE") != NULL || (level != NULL && strcmp(level, "0") == 0)) return; // its log is wanted
	// It is never closed: another thread may be about to write to it when stderr is itself again.
	if (other == NULL && (other = filtered()) != NULL) setvbuf(other, NULL, _IONBF, 0);
	if (other == NULL) return;
	own = stderr;
	stderr = other;
}

void forgo_loud(void) {
	if (own != NULL) stderr = own;
	own = NULL;
}

#else

void forgo_quiet(void) {}
void forgo_loud(void) {}

#endif
