#include "config.h"
#include "report.h"

#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { line_room = 1200, max_lines = 25 };

static int to = -1;
static char *step_text;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int lines, fails;

void check_report_to(int pipe, char *step) {
  to = pipe;
  step_text = step;
}

/* One line of UTF-8: what is no printable text would garble TAP. */
static void clean(char *line) {
  json_t *text = json_string(line);
  for (char *p = line; *p; p++)
    if ((unsigned char)*p < 0x20 || *p == 0x7f)
      *p = ' ';
    else if (!text && (unsigned char)*p >= 0x80)
      *p = '?';
  json_decref(text);
}

static void say(char kind, const char *fmt, va_list ap) {
  char line[line_room];
  line[0] = kind;
  vsnprintf(line + 1, sizeof line - 2, fmt, ap);
  clean(line + 1);
  size_t n = strlen(line);
  line[n++] = '\n';
  pthread_mutex_lock(&lock);
  if (kind == 'F')
    fails++;
  if (lines++ < max_lines || (kind == 'F' && fails == 1))
    (void)!write(to, line, n);
  pthread_mutex_unlock(&lock);
}

#define SAY(kind)      \
  do {                 \
    va_list ap;        \
    va_start(ap, fmt); \
    say(kind, fmt, ap); \
    va_end(ap);        \
  } while (0)

void check_fail(const char *fmt, ...) { SAY('F'); }
void check_warn(const char *fmt, ...) { SAY('W'); }
void check_note(const char *fmt, ...) { SAY('N'); }
void check_skip(const char *fmt, ...) { SAY('S'); }

void check_step(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(step_text, CHECK_STEP_ROOM, fmt, ap);
  va_end(ap);
  clean(step_text);
}

const char *check_at(void) { return step_text; }

bool check_failed(void) {
  pthread_mutex_lock(&lock);
  bool any = fails > 0;
  pthread_mutex_unlock(&lock);
  return any;
}
