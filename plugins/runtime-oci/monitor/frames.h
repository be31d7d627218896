/* What `berth-monitor exec` speaks: frames in both directions, over its standard input and output (one socket for both, or two pipes). A
 * frame is a type, a length of four bytes (big-endian, at most RO_FRAME_MAX) and so many bytes. Pure.
 *
 * To it:   first RO_FRAME_SPEC, {"args": [...], "env": {"NAME": "value"} or ["NAME=value"], "user", "cwd", "tty": bool,
 *          "rows", "cols", "privileged": bool, "stdin": bool (false: /dev/null)}; then any number of RO_FRAME_DATA (input),
 *          RO_FRAME_EOF (no more input; on a terminal ^D is typed), RO_FRAME_RESIZE {"rows","cols"}.
 *          Hanging up (closing the socket or both pipes) kills the command.
 * From it: RO_FRAME_OUT, RO_FRAME_ERR (with a terminal all is OUT), and at last either RO_FRAME_EXIT {"exit_code": 0-255}
 *          or RO_FRAME_FAIL {"error": sentence, "code": "not_found" (no such command or user), "conflict" (the container does not
 *          run), "denied", …, "exit_code": 126 or 127 as a shell would say}. Then it closes. */
#ifndef RO_FRAMES_H
#define RO_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../common/util.h"

enum { RO_FRAME_HEAD = 5, RO_FRAME_MAX = 1 << 20 };
enum ro_frame {
  RO_FRAME_SPEC = 'S',
  RO_FRAME_DATA = 'D',
  RO_FRAME_EOF = 'E',
  RO_FRAME_RESIZE = 'R',
  RO_FRAME_OUT = '1',
  RO_FRAME_ERR = '2',
  RO_FRAME_EXIT = 'X',
  RO_FRAME_FAIL = 'F',
};

/* A frame's first bytes. */
void ro_frame_head(unsigned char head[RO_FRAME_HEAD], enum ro_frame type, size_t len);
/* Appends a whole frame; data over RO_FRAME_MAX becomes several (of DATA, OUT and ERR only). */
void ro_frame_add(struct pu_buf *b, enum ro_frame type, const void *data, size_t len);

/* Cuts a stream into frames. Zero-initialise. */
struct ro_frames {
  struct pu_buf rest;
};
/* Takes a piece and calls each for every frame that is whole now; data is followed by a NUL that is not counted and lives for the call. False
 * where the bytes are no such stream (an unknown type, a length over the cap), or each said false: stop. */
bool ro_frames_feed(struct ro_frames *f, const void *data, size_t len, bool (*each)(void *arg, enum ro_frame type, const char *data, size_t len), void *arg);
void ro_frames_free(struct ro_frames *f);

#endif
