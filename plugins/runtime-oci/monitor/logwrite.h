/* A container's output as a log file in CRI's format, one record a line:
 *     2026-11-23T19:00:00.123456789Z stdout F text
 * F ends a line, P is a piece of one (a line over 16 KiB, or one that has not ended for a while). Times rise from record to record. Files
 * are rotated (log -> log.1 -> log.2 …) between records, so the disk they take is bounded. Where a write finds no room, records are
 * dropped and counted, and a record says so once there is room again: the container goes on. Memory is fixed. */
#ifndef RO_LOGWRITE_H
#define RO_LOGWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RO_LOG_PIECE = 16384, RO_LOG_READ = 2 * RO_LOG_PIECE, RO_LOG_OUT = 65536 };

/* What of a line has been read and not yet written. */
struct ro_logstream {
  const char *name; /* "stdout", "stderr" */
  size_t have;
  long long since_ms; /* monotonic: when its first byte came */
  char bytes[RO_LOG_READ];
};

struct ro_logwriter {
  int fd; /* -1: none could be opened */
  char *path;
  int64_t max_size, size; /* max_size 0: no bound */
  int max_files;
  long long last_ns;
  char second[24]; /* text of the second of last_ns */
  long long second_of;
  uint64_t lost, lost_now; /* lines; the latter since the last record about it */
  size_t out_have;
  uint64_t out_lines;
  char out[RO_LOG_OUT];
};

/* Opens (appends to) the file. Where that fails, errno tells, and everything written is lost and counted. */
int ro_logwriter_open(struct ro_logwriter *w, const char *path, int64_t max_size, int max_files);
/* Bytes were read into s->bytes + s->have: n of them. Writes every whole line and every full piece, and flushes. */
void ro_logwriter_took(struct ro_logwriter *w, struct ro_logstream *s, size_t n, long long now_ms);
/* Writes what is held of an unended line as a piece. */
void ro_logwriter_piece(struct ro_logwriter *w, struct ro_logstream *s);
void ro_logwriter_close(struct ro_logwriter *w);

#endif
