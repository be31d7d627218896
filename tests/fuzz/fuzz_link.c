/* A link, fed with a stream that is cut anywhere: what it hands on is what the whole stream holds, in order, up to its end or the first
 * garbage; a message that is awaited comes out of the order and no other is lost. A line of the input is a message (JSON, and behind a byte
 * 1 its bytes; a line "!" is raw bytes in place of one); the first two bytes say in pieces of how many bytes it comes, and after how many
 * of them one is awaited. */
#include "config.h"

#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "plugin/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { max_stream = 8192, max_rounds = 64 };

static struct {
  struct bt_loop *loop;
  struct bt_buf stream;
  size_t messages, sum;
  int ended;
} F;

/* The order counts, but for what is awaited. */
static size_t value_of(const struct bt_message *m) {
  size_t n = strlen(m->type) * 131 + m->len;
  for (size_t i = 0; i < m->len; i++)
    n = n * 31 + (unsigned char)m->bytes[i];
  return n;
}

static void on_message(void *arg, const struct bt_message *m) {
  (void)arg;
  F.messages++;
  F.sum += value_of(m);
}

static void on_end(void *arg, const char *why) {
  (void)arg;
  F.ended++;
  BT_ASSERT(*why);
}

static void put_u32(size_t n) {
  const char bytes[] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
  bt_buf_add(&F.stream, bytes, sizeof bytes);
}

static void make_stream(const char *at, const char *limit) {
  F.stream.len = 0;
  while (at < limit && F.stream.len < max_stream) {
    const char *newline = memchr(at, '\n', (size_t)(limit - at)), *end = newline ? newline : limit;
    const char *bytes = memchr(at, 1, (size_t)(end - at)), *head_end = bytes ? bytes : end;
    if (*at == '!') {
      bt_buf_add(&F.stream, at + 1, (size_t)(end - at - 1));
    } else {
      put_u32((size_t)(head_end - at));
      put_u32(bytes ? (size_t)(end - bytes - 1) : 0);
      bt_buf_add(&F.stream, at, (size_t)(head_end - at));
      if (bytes)
        bt_buf_add(&F.stream, bytes + 1, (size_t)(end - bytes - 1));
    }
    at = end + 1;
  }
}

/* What the stream holds. */
static void count_stream(size_t *messages, size_t *sum) {
  *messages = *sum = 0;
  for (size_t at = 0; at < F.stream.len;) {
    BT_AUTO_ERR err = NULL;
    struct bt_message m;
    long n = bt_wire_get(F.stream.data + at, F.stream.len - at, BT_WIRE_MAX_JSON_IN, &m, &err);
    if (n <= 0)
      break;
    *sum += value_of(&m);
    ++*messages;
    json_decref(m.head);
    at += (size_t)n;
  }
}

static void turn(void) { event_base_loop(bt_loop_base(F.loop), EVLOOP_NONBLOCK); }

static void feed(struct bt_link *link, int to, size_t step, size_t await_at) {
  size_t pieces = 0;
  for (size_t at = 0; at < F.stream.len && !F.ended; at += step) {
    size_t n = BT_MIN(step, F.stream.len - at);
    ssize_t put = write(to, F.stream.data + at, n);
    BT_ASSERT(put == (ssize_t)n);
    struct bt_message m;
    if (++pieces == await_at && bt_link_await(link, "reply", 1, 0, &m)) {
      on_message(NULL, &m);
      json_decref(m.head);
    } else if (pieces % max_rounds) {
      turn();
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  int fds[2];
  if (size < 2)
    return 0;
  if (!F.loop)
    F.loop = bt_loop_new();
  make_stream((const char *)data + 2, (const char *)data + size);
  F.messages = F.sum = 0;
  F.ended = 0;
  int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
  BT_ASSERT(rc == 0);
  struct bt_link_setup setup = {.loop = F.loop, .name = "fuzz", .in = fds[0], .out = fds[0], .max_json = BT_WIRE_MAX_JSON_IN, .max_out = 1 << 20,
                                .budget = data[1] % 4, .on_message = on_message, .on_end = on_end};
  struct bt_link *link = bt_link_new(&setup);
  feed(link, fds[1], data[0] < 8 ? F.stream.len / 4 + 1 : data[0], data[1] / 4);
  bt_link_send(link, json_pack("{ss}", "t", "x"), "b", 1);
  close(fds[1]);
  for (int i = 0; i < 2 * max_rounds && !F.ended; i++)
    turn();
  size_t messages, sum;
  count_stream(&messages, &sum);
  BT_ASSERT(F.ended == 1 && F.messages == messages && F.sum == sum);
  bt_link_free(&link);
  return 0;
}
