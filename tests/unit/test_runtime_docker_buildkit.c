/* runtime-docker, BuildKit: protobuf, progress, the Dockerfile's wants, and the session's gRPC, spoken with by nghttp2's client. */
#include "config.h"

#include <nghttp2/nghttp2.h>

#include "../../plugins/runtime-docker/dockerfile.h"
#include "../../plugins/runtime-docker/proto.h"
#include "../../plugins/runtime-docker/session.h"
#include "../../plugins/runtime-docker/trace.h"
#include "tap.h"

/* ---------------------------------------------------------------- protobuf */

static void test_proto(void) {
  uint8_t out[64];
  size_t n = rd_proto_put_bytes(out, 1, "abc", 3);
  n += rd_proto_put_int(out + n, 300, 1ull << 40);
  is_int((long)n, (long)rd_proto_bytes_size(1, 3) + 8, "written");
  struct rd_proto in = rd_proto_read(out, n);
  struct rd_field f;
  ok(rd_proto_next(&in, &f) && f.number == 1 && f.bytes && f.len == 3 && memcmp(f.data, "abc", 3) == 0, "a field of bytes");
  ok(rd_proto_next(&in, &f) && f.number == 300 && !f.bytes && f.value == 1ull << 40, "an integer");
  ok(!rd_proto_next(&in, &f) && !in.bad, "the end");
  static const struct {
    const char *bytes;
    size_t len;
    const char *what;
  } bad[] = {{"\x0a\x05""ab", 4, "a length beyond the end"}, {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "a huge length"},
             {"\x08\xff", 2, "an integer cut off"}, {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "an integer too long"},
             {"\x00\x01", 2, "field 0"}, {"\x0b", 1, "a group"}, {"\x0d\x01\x02", 3, "a fixed32 cut off"}, {"\x80", 1, "a tag cut off"}};
  for (size_t i = 0; i < PU_COUNT(bad); i++) {
    in = rd_proto_read(bad[i].bytes, bad[i].len);
    while (rd_proto_next(&in, &f))
      ;
    ok(in.bad, "refused: %s", bad[i].what);
  }
  PU_AUTO_BUF text = {0};
  ok(rd_base64_read("YWJjZA==", &text) && text.len == 4 && memcmp(text.data, "abcd", 4) == 0, "base64");
  ok(!rd_base64_read("YWJ", &text) && !rd_base64_read("YW=j", &text) && !rd_base64_read("Y.Jj", &text) && !rd_base64_read("====", &text), "no base64");
}

/* ---------------------------------------------------------------- progress */

static struct pu_buf message(uint32_t number, const struct pu_buf *inner) {
  struct pu_buf out = {0};
  uint8_t *room = pu_calloc(1, rd_proto_bytes_size(number, inner->len));
  pu_buf_add(&out, room, rd_proto_put_bytes(room, number, inner->data, inner->len));
  free(room);
  return out;
}

static void text_field(struct pu_buf *out, uint32_t number, const char *text) {
  struct pu_buf inner = {.data = (char *)(uintptr_t)text, .len = strlen(text)};
  PU_AUTO_BUF field = message(number, &inner);
  pu_buf_add(out, field.data, field.len);
}

static void said(void *arg, const char *text, size_t len) { pu_buf_addf(arg, "<%.*s>", (int)len, text); }

/* "3=name 5=" … as a message under number. */
static bool tell(struct rd_trace *t, struct pu_buf *out, uint32_t number, const char *const fields[][1], const uint32_t *numbers, size_t n) {
  PU_AUTO_BUF inner = {0};
  for (size_t i = 0; i < n; i++)
    text_field(&inner, numbers[i], fields[i][0]);
  PU_AUTO_BUF whole = message(number, &inner);
  return rd_trace_feed(t, whole.data, whole.len, said, out);
}

static void test_trace(void) {
  struct rd_trace t = {0};
  PU_AUTO_BUF out = {0};
  const char *const waiting[][1] = {{"sha256:1"}, {"[1/2] RUN a"}}, *const started[][1] = {{"sha256:1"}, {"[1/2] RUN a"}, {""}},
             *const failed[][1] = {{"sha256:1"}, {"[1/2] RUN a"}, {""}, {""}, {"exit code: 7"}}, *const log[][1] = {{"sha256:1"}, {"oh no\n"}},
             *const status[][1] = {{"exporting"}, {"sha256:2"}};
  const uint32_t vertex[] = {1, 3, 5, 6, 7}, line[] = {1, 4}, state[] = {1, 2};
  ok(tell(&t, &out, 1, waiting, vertex, 2) && !out.len, "a step that waits is not told");
  tell(&t, &out, 1, started, vertex, 3);
  tell(&t, &out, 1, started, vertex, 3);
  tell(&t, &out, 3, log, line, 2);
  tell(&t, &out, 2, status, state, 2);
  tell(&t, &out, 2, status, state, 2);
  tell(&t, &out, 1, failed, vertex, 5);
  tell(&t, &out, 1, failed, vertex, 5);
  is_str(out.data, "<[1/2] RUN a><oh no\n><exporting><ERROR [1/2] RUN a: exit code: 7>", "each step once, its output, its error");
  is_str(t.failed, "[1/2] RUN a", "the step that failed");
  ok(!rd_trace_feed(&t, "\x0a\x02\x0a\x09", 4, said, &out), "a malformed message inside");
  rd_trace_free(&t);
  for (int i = 0; i < 10000; i++) {
    char digest[32];
    snprintf(digest, sizeof digest, "sha256:%d", i);
    const char *const many[][1] = {{digest}, {"s"}, {""}};
    rd_buf_consume(&out, out.len);
    tell(&t, &out, 1, many, vertex, 3);
  }
  ok(json_object_size(t.steps) <= 8192, "what is remembered is bounded");
  rd_trace_free(&t);
}

/* ---------------------------------------------------------------- Dockerfile */

static void test_dockerfile(void) {
  static const char *const needs[] = {"FROM a\nRUN --mount=type=secret,id=x cat", "run\t--mount=type=cache b", "RUN \\\n  --network=none \\\n  --mount=type=cache x",
                                      "  RUN --network=none x", "COPY --chmod=755 a b", "COPY --from=x --link a b"};
  static const char *const not[] = {"", "\\", "RUN", "RUN \\", "RUN echo --mount=type=secret", "# RUN --mount=x", "FROM --platform=x a\nCOPY --from=b c d", "RUNNER --mount=x",
                                    "COPY --chown=1 a b\nRUN x"};
  for (size_t i = 0; i < PU_COUNT(needs); i++)
    ok(rd_dockerfile_buildkit(needs[i]), "needs BuildKit: %zu", i);
  for (size_t i = 0; i < PU_COUNT(not); i++)
    ok(!rd_dockerfile_buildkit(not[i]), "does not need it: %zu", i);
}

/* ---------------------------------------------------------------- session */

static struct peer {
  struct rd_session *server;
  nghttp2_session *client;
  struct pu_buf to_client, body;
  char *status, *http;
  size_t upload_at;
  struct pu_buf upload;
  bool closed, keep_open;
} peer;

static char *big;
enum { big_len = rd_secret_max };

static void to_client(void *arg, const void *data, size_t len) {
  (void)arg;
  pu_buf_add(&peer.to_client, data, len);
}

static const void *secret(void *arg, const char *id, size_t *len) {
  (void)arg;
  *len = pu_eq(id, "big") ? big_len : pu_eq(id, "binary") ? 5 : pu_eq(id, "large") ? big_len + 1 : 0;
  return pu_eq(id, "big") || pu_eq(id, "large") ? big : pu_eq(id, "binary") ? "\0a\nb\0" : pu_eq(id, "empty") ? "" : NULL;
}

static bool login(void *arg, const char *host, const char **user, const char **password) {
  (void)arg;
  *user = "ann";
  *password = "pass";
  return pu_eq(host, "reg:5000");
}

static struct {
  struct rd_stream *stream;
  struct pu_buf heard;
  bool ended, closed;
} agent;

static bool agent_known(void *arg, const char *id) {
  (void)arg;
  return pu_eq(id, "default") || pu_eq(id, "own");
}

static void *agent_open(void *arg, const char *id, struct rd_stream *stream) {
  agent.stream = stream;
  return agent_known(arg, id) ? &agent : NULL;
}

static bool agent_hears(void *arg, const void *data, size_t len) {
  (void)arg;
  agent.ended = agent.ended || !len;
  pu_buf_add(&agent.heard, data, len);
  return !memchr(data, '!', len);
}

static void agent_close(void *arg) {
  (void)arg;
  agent.closed = true;
}

static int c_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t nlen, const uint8_t *value, size_t vlen, uint8_t flags, void *arg) {
  (void)s, (void)f, (void)flags, (void)arg;
  if (nlen == 11 && memcmp(name, "grpc-status", 11) == 0)
    pu_set(&peer.status, pu_asprintf("%.*s", (int)vlen, (const char *)value));
  if (nlen == 7 && memcmp(name, ":status", 7) == 0)
    pu_set(&peer.http, pu_asprintf("%.*s", (int)vlen, (const char *)value));
  return 0;
}

static int c_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg) {
  (void)s, (void)flags, (void)id, (void)arg;
  pu_buf_add(&peer.body, data, len);
  return 0;
}

static int c_close(nghttp2_session *s, int32_t id, uint32_t code, void *arg) {
  (void)s, (void)id, (void)code, (void)arg;
  peer.closed = true;
  return 0;
}

static ssize_t c_upload(nghttp2_session *s, int32_t id, uint8_t *buf, size_t room, uint32_t *flags, nghttp2_data_source *source, void *arg) {
  (void)s, (void)id, (void)source, (void)arg;
  size_t left = peer.upload.len - peer.upload_at, n = left < room ? left : room;
  if (n)
    memcpy(buf, peer.upload.data + peer.upload_at, n);
  peer.upload_at += n;
  if (n == left && peer.keep_open)
    return n ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
  if (n == left)
    *flags |= NGHTTP2_DATA_FLAG_EOF;
  return (ssize_t)n;
}

/* Both sides in turn, one byte at a time towards the server, until neither has anything to say. */
static void turn(void) {
  const uint8_t *out;
  for (bool moved = true; moved;) {
    moved = false;
    for (ssize_t n; (n = nghttp2_session_mem_send(peer.client, &out)) > 0; moved = true)
      for (ssize_t i = 0; i < n; i++)
        if (!rd_session_feed(peer.server, out + i, 1))
          return;
    if (peer.to_client.len) {
      nghttp2_session_mem_recv(peer.client, (uint8_t *)peer.to_client.data, peer.to_client.len);
      rd_buf_consume(&peer.to_client, peer.to_client.len);
      moved = true;
    }
  }
}

static void call_raw(const char *path, const void *data, size_t len) {
  const char *const pairs[][2] = {{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "x"}, {"content-type", "application/grpc"}, {"te", "trailers"}};
  nghttp2_nv nv[6];
  for (size_t i = 0; i < 6; i++)
    nv[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)pairs[i][0], (uint8_t *)(uintptr_t)pairs[i][1], strlen(pairs[i][0]), strlen(pairs[i][1]), 0};
  rd_buf_consume(&peer.upload, peer.upload.len);
  rd_buf_consume(&peer.body, peer.body.len);
  pu_set(&peer.status, NULL);
  peer.upload_at = 0;
  peer.closed = false;
  pu_buf_add(&peer.upload, data, len);
  nghttp2_data_provider body = {.read_callback = c_upload};
  nghttp2_submit_request(peer.client, NULL, nv, 6, &body, NULL);
  turn();
}

static void call(const char *path, const char *name) {
  uint8_t request[256] = {0};
  size_t n = name ? rd_proto_put_bytes(request + 5, 1, name, strlen(name)) : 0;
  request[4] = (uint8_t)n;
  call_raw(path, request, 5 + n);
}

/* The bytes of a field of the one message that came. */
static char *field(uint32_t number, size_t *len) {
  struct rd_proto in = rd_proto_read(peer.body.len > 5 ? peer.body.data + 5 : "", peer.body.len > 5 ? peer.body.len - 5 : 0);
  for (struct rd_field f; rd_proto_next(&in, &f);)
    if (f.number == number && f.bytes) {
      *len = f.len;
      return (char *)(uintptr_t)f.data;
    }
  *len = 0;
  return NULL;
}

static void peer_start(void) {
  nghttp2_session_callbacks *calls;
  nghttp2_session_callbacks_new(&calls);
  nghttp2_session_callbacks_set_on_header_callback(calls, c_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, c_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(calls, c_close);
  nghttp2_session_client_new(&peer.client, calls, NULL);
  nghttp2_session_callbacks_del(calls);
  nghttp2_submit_settings(peer.client, NGHTTP2_FLAG_NONE, NULL, 0);
  peer.server = rd_session_new(&(struct rd_session_events){.send = to_client, .secret = secret, .credentials = login, .agent_known = agent_known,
                                                              .agent_open = agent_open, .agent_hears = agent_hears, .agent_close = agent_close});
}

/* An agent's stream: what it says and hears while both ways are open. */
static void test_agent(void) {
  static const char forward[] = "/moby.sshforward.v1.SSH/ForwardAgent";
  static const char two[] = "\0\0\0\0\5\n\3abc\0\0\0\0\3\n\1d\0\0\0"; /* and the beginning of a third */
  size_t n;
  call("/moby.sshforward.v1.SSH/CheckAgent", "own");
  ok(pu_eq(peer.status, "0") && peer.body.len == 5, "an agent that is there");
  call("/moby.sshforward.v1.SSH/CheckAgent", "other");
  is_str(peer.status, "5", "one that is not");
  peer.keep_open = true;
  call_raw(forward, two, sizeof two - 1);
  ok(agent.heard.len == 4 && memcmp(agent.heard.data, "abcd", 4) == 0 && !agent.ended && !agent.closed && !peer.closed, "the agent hears messages, whole");
  rd_session_agent_says(peer.server, agent.stream, "xyz", 3);
  turn();
  char *data = field(1, &n);
  ok(n == 3 && memcmp(data, "xyz", 3) == 0 && !peer.closed, "and says something");
  rd_session_agent_says(peer.server, agent.stream, NULL, 0);
  turn();
  is_str(peer.status, "0", "then it has no more to say");
  peer.keep_open = false;
  for (int32_t id = 1; id < 100; id += 2)
    nghttp2_session_resume_data(peer.client, id);
  turn();
  ok(agent.ended && agent.closed && peer.closed, "and is closed when the engine ends its way too");
  agent.closed = false;
  call_raw(forward, "\0\0\0\0\3\n\1!", 8);
  ok(agent.closed && peer.closed && !peer.status, "an agent that is gone resets its stream");
  agent.closed = false;
  call_raw(forward, "\1\0\0\0\3\n\1a", 8);
  ok(agent.closed && !peer.status, "and so does what is no gRPC");
  agent.closed = false;
  peer.keep_open = true;
  call_raw(forward, "", 0);
  for (int i = 0; i < 40 && !agent.closed; i++)
    rd_session_agent_says(peer.server, agent.stream, big, 60000);
  ok(agent.closed, "an agent that says more than anyone reads is closed");
  peer.keep_open = agent.closed = false;
}

static void peer_end(void) {
  nghttp2_session_del(peer.client);
  rd_session_free(&peer.server);
  pu_buf_free(&peer.to_client);
  pu_buf_free(&peer.body);
  pu_buf_free(&peer.upload);
  free(peer.status);
  free(peer.http);
}

static void test_session(void) {
  size_t n;
  peer_start();
  call("/moby.buildkit.secrets.v1.Secrets/GetSecret", "binary");
  char *data = field(1, &n);
  ok(peer.closed && pu_eq(peer.http, "200") && pu_eq(peer.status, "0") && n == 5 && memcmp(data, "\0a\nb\0", 5) == 0, "a secret, byte by byte");
  call("/moby.buildkit.secrets.v1.Secrets/GetSecret", "big");
  data = field(1, &n);
  ok(pu_eq(peer.status, "0") && n == big_len && memcmp(data, big, big_len) == 0, "one of 500 KiB, larger than a window");
  call("/moby.buildkit.secrets.v1.Secrets/GetSecret", "empty");
  ok(pu_eq(peer.status, "0") && peer.body.len == 7, "an empty one");
  call("/moby.buildkit.secrets.v1.Secrets/GetSecret", "large");
  is_str(peer.status, "8", "one that is too large");
  call("/moby.buildkit.secrets.v1.Secrets/GetSecret", "other");
  is_str(peer.status, "5", "a secret that is not there: NOT_FOUND");
  call("/grpc.health.v1.Health/Check", NULL);
  ok(pu_eq(peer.status, "0") && peer.body.len == 7 && memcmp(peer.body.data, "\0\0\0\0\2\10\1", 7) == 0, "health: SERVING");
  call("/moby.filesync.v1.Auth/Credentials", "reg:5000");
  data = field(2, &n);
  ok(pu_eq(peer.status, "0") && n == 4 && memcmp(data, "pass", 4) == 0, "credentials");
  call("/moby.filesync.v1.Auth/Credentials", "elsewhere");
  ok(pu_eq(peer.status, "0") && peer.body.len == 5, "of another registry: none");
  call("/moby.filesync.v1.FileSync/DiffCopy", NULL);
  is_str(peer.status, "12", "an unknown method: UNIMPLEMENTED");
  static const struct {
    const char *bytes;
    size_t len;
    const char *what;
  } bad[] = {{"", 0, "nothing"}, {"\0\0\0\0\5\n\1x", 8, "a message cut off"}, {"\1\0\0\0\3\n\1x", 8, "a compressed one"}, {"\0\0\0\0\3\n\7x", 8, "a malformed one"},
             {"\0\0\0\0\0\0\0\0\0\0", 10, "two"}};
  for (size_t i = 0; i < PU_COUNT(bad); i++) {
    call_raw("/moby.buildkit.secrets.v1.Secrets/GetSecret", bad[i].bytes, bad[i].len);
    is_str(peer.status, "13", bad[i].what);
  }
  call_raw("/moby.buildkit.secrets.v1.Secrets/GetSecret", big, 100000);
  is_str(peer.status, "8", "a request that is too large");
  test_agent();
  call("/grpc.health.v1.Health/Check", NULL);
  is_str(peer.status, "0", "and the session goes on");
  ok(!rd_session_feed(peer.server, "HTTP/1.1 400 Bad Request\r\n\r\n", 28), "what is not HTTP/2 ends it");
  peer_end();
  peer_start();
  ok(!rd_session_feed(peer.server, "GET / HTTP/1.1\r\n\r\n", 18), "a wrong preface ends it");
  rd_session_free(&peer.server);
  nghttp2_session_del(peer.client);
  pu_buf_free(&peer.to_client);
}

int main(void) {
  big = pu_calloc(1, big_len + 1);
  memset(big, 's', big_len + 1);
  test_proto();
  test_trace();
  test_dockerfile();
  test_session();
  free(big);
  pu_buf_free(&agent.heard);
  return done_testing();
}
