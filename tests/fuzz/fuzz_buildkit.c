/* What an engine writes to runtime-docker in a BuildKit build. By part: progress (protobuf), base64, a Dockerfile; a session:
 * what is fed behind HTTP/2's preface, in pieces of as many bytes as its first one says. */
#include "../../plugins/runtime-docker/dockerfile.h"
#include "../../plugins/runtime-docker/proto.h"
#include "../../plugins/runtime-docker/session.h"
#include "../../plugins/runtime-docker/trace.h"
#include "parts.h"

static void text(void *arg, const char *piece, size_t len) {
  size_t *sum = arg;
  for (size_t i = 0; i < len; i++)
    *sum += (unsigned char)piece[i]; /* every byte is there */
}

static void progress(char *data, size_t size) {
  struct rd_trace trace = {0};
  size_t sum = 0;
  rd_trace_feed(&trace, data, size / 2, text, &sum);
  rd_trace_feed(&trace, data, size, text, &sum);
  rd_trace_free(&trace);
}

static void ignore(void *arg, const void *data, size_t len) {
  (void)data;
  *(size_t *)arg += len;
}

static const void *secret(void *arg, const char *id, size_t *len) {
  static const uint8_t value[65536]; /* no request is longer */
  (void)arg;
  *len = strlen(id);
  return *len % 2 ? value : NULL;
}

static bool login(void *arg, const char *host, const char **user, const char **password) {
  (void)arg;
  *user = host;
  *password = "p";
  return *host;
}

static struct rd_stream *agent; /* of the last stream that opened one */

static bool agent_known(void *arg, const char *id) {
  (void)arg;
  return strlen(id) % 2;
}

static void *agent_open(void *arg, const char *id, struct rd_stream *stream) {
  struct rd_stream **one = pu_calloc(1, sizeof(struct rd_stream *));
  (void)arg;
  (void)id;
  *one = agent = stream;
  return one;
}

static bool agent_hears(void *one, const void *data, size_t len) {
  (void)one;
  return !len || *(const char *)data != '!';
}

static void agent_close(void *one) {
  if (*(struct rd_stream **)one == agent)
    agent = NULL;
  free(one);
}

static void session(const uint8_t *data, size_t size, size_t piece) {
  static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  size_t sent = 0;
  struct rd_session *s = rd_session_new(&(struct rd_session_events){ignore, secret, login, agent_known, agent_open, agent_hears, agent_close, &sent});
  bool good = rd_session_feed(s, preface, sizeof preface - 1);
  for (size_t at = 0; good && at < size; at += piece)
    if ((good = rd_session_feed(s, data + at, size - at < piece ? size - at : piece)) && agent)
      rd_session_agent_says(s, agent, data, at % 3 ? at : 0);
  agent = NULL;
  rd_session_free(&s);
}

static void sessions(char *text, size_t len) {
  if (len)
    session((const uint8_t *)text + 1, len - 1, *text ? (uint8_t)*text : 4096);
}

static void base64(char *text, size_t len) {
  PU_AUTO_BUF out = {0};
  if (rd_base64_read(text, &out) && out.len > len / 4 * 3)
    abort();
}

static void dockerfile(char *text, size_t len) {
  (void)len;
  rd_dockerfile_buildkit(text);
}

static const struct fuzz_part parts[] = {
    {'p', "progress", progress}, {'b', "base64", base64}, {'d', "dockerfile", dockerfile}, {'s', "session", sessions}};
FUZZ_PARTS(parts)
