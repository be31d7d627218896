/* The engine's multiplexed streams of logs and exec: 8 bytes of head (stream, three zeros, length as big-endian), then the
 * bytes. Heads and bytes may be split anywhere. And lines with timestamps out of log frames. Pure. */
#ifndef RD_FRAMES_H
#define RD_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

struct rd_frames {
  unsigned char head[8];
  size_t have;   /* bytes of head */
  uint32_t left; /* of the present frame */
};

/* Takes a piece. Small frames of one stream that follow each other within it come as one part where join is set (then last
 * means nothing). part is called for every run of bytes that belongs to one frame: stream is 1 (out) or 2 (err), last is true
 * where the frame ends with it (an empty frame gives one empty part). False where the bytes are no such stream. */
bool rd_frames_feed(struct rd_frames *f, const void *data, size_t len, bool join,
                    void (*part)(void *arg, int stream, const void *data, size_t len, bool last), void *arg);

/* Lines of a log that was asked for with timestamps: every frame is "<RFC 3339> <text>", and one line may come in several
 * frames. Lines over 256 KiB are cut into pieces. */
struct rd_loglines {
  struct pu_buf frame[3]; /* bytes of the frame under way, by stream */
  struct pu_buf line[3];  /* text of the line under way */
  char time[3][40];       /* of its first frame */
};
typedef void rd_logline_fn(void *arg, int stream, const char *time, const char *text, size_t len);
void rd_loglines_part(struct rd_loglines *l, int stream, const void *data, size_t len, bool last, rd_logline_fn *line, void *arg);
void rd_loglines_end(struct rd_loglines *l, rd_logline_fn *line, void *arg); /* lines without an end */
void rd_loglines_free(struct rd_loglines *l);

#endif
