/* Lines of a log in the form of the Container Runtime Interface: "2026-11-23T19:00:00.123456789Z stdout F text\n"; the tag P says that the
 * line goes on in the next piece of that stream. Pure. */
#ifndef RO_CRILOG_H
#define RO_CRILOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/util.h"

/* A piece as it stands in the file; all of it borrowed. */
struct ro_cri {
  const char *time; /* ntime bytes */
  size_t ntime;
  int64_t ms;       /* the same as milliseconds since 1970; -1: unreadable */
  int stream;       /* 1 stdout, 2 stderr */
  bool last;        /* tag F: the line ends here */
  const char *text;
  size_t len;
};

/* Cuts a stream of bytes into lines; a line over 64 KiB is none of ours and is dropped. Zero-initialise. */
struct ro_cri_feed {
  struct pu_buf rest;
  bool skipping;
};
void ro_cri_feed(struct ro_cri_feed *f, const char *data, size_t len, void (*piece)(void *arg, const struct ro_cri *p), void *arg);

/* Where the last n lines of a file begin: bytes from its front. *lines: how many lines the file has, at most n. data: the whole file. */
size_t ro_cri_tail(const char *data, size_t len, int64_t n, int64_t *lines);

#endif
