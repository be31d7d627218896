#include "config.h"
#include "session.h"

#include <nghttp2/nghttp2.h>

#include "proto.h"

enum { max_streams = 32, max_header_list = 16384, max_request = 65536, max_waiting = 1 << 20, grpc_head = 5 };
enum { GRPC_OK = 0, GRPC_NOT_FOUND = 5, GRPC_EXHAUSTED = 8, GRPC_UNIMPLEMENTED = 12, GRPC_INTERNAL = 13 };

const char *const rd_session_methods[] = {"/moby.buildkit.secrets.v1.Secrets/GetSecret", "/moby.filesync.v1.Auth/Credentials",
                                          "/grpc.health.v1.Health/Check", "/moby.sshforward.v1.SSH/CheckAgent",
                                          "/moby.sshforward.v1.SSH/ForwardAgent", NULL};
static const char agent_id_header[] = "buildkit.ssh.id";

struct rd_stream {
  struct rd_stream *prev, *next;
  char *path;
  struct pu_buf request;
  bool too_large, answered;
  uint8_t *answer; /* one gRPC message with its head */
  size_t len, sent;
  /* of an agent */
  int32_t id;
  char *agent_id;
  void *agent;
  struct pu_buf says; /* framed, for the engine */
  bool silent;        /* and nothing follows */
};

struct rd_session {
  struct rd_session_events events;
  nghttp2_session *http;
  struct rd_stream *streams;
};

static void stream_free(struct rd_session *s, struct rd_stream *st) {
  if (st->prev)
    st->prev->next = st->next;
  else
    s->streams = st->next;
  if (st->next)
    st->next->prev = st->prev;
  if (st->agent)
    s->events.agent_close(st->agent);
  pu_buf_free(&st->says);
  free(st->agent_id);
  free(st->path);
  pu_buf_free(&st->request);
  if (st->answer)
    explicit_bzero(st->answer, st->len);
  free(st->answer);
  free(st);
}

/* ---------------------------------------------------------------- answers */

static nghttp2_nv pair(const char *name, const char *value) {
  return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* An answer without a message: the status comes with the head. */
static void refuse(struct rd_session *s, int32_t id, int code, const char *message) {
  PU_AUTO_FREE status = pu_asprintf("%d", code);
  const nghttp2_nv head[] = {pair(":status", "200"), pair("content-type", "application/grpc"), pair("grpc-status", status),
                             pair("grpc-message", message)};
  nghttp2_submit_response(s->http, id, head, PU_COUNT(head), NULL);
}

static ssize_t answer_read(nghttp2_session *http, int32_t id, uint8_t *out, size_t room, uint32_t *flags, nghttp2_data_source *source,
                           void *arg) {
  struct rd_stream *st = source->ptr;
  (void)arg;
  size_t n = st->len - st->sent < room ? st->len - st->sent : room;
  memcpy(out, st->answer + st->sent, n);
  st->sent += n;
  if (st->sent == st->len) {
    const nghttp2_nv trailer = pair("grpc-status", "0");
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(http, id, &trailer, 1);
  }
  return (ssize_t)n;
}

static void grpc_length(uint8_t *head, size_t len) {
  for (int i = 0; i < 4; i++)
    head[1 + i] = (uint8_t)(len >> (24 - 8 * i));
}

/* Room for the message of len bytes, behind its head; NUL-filled. Allocated once, so that no copies of a secret are left behind. */
static uint8_t *answer_room(struct rd_stream *st, size_t len) {
  st->len = grpc_head + len;
  st->answer = pu_calloc(1, st->len + 1);
  grpc_length(st->answer, len);
  return st->answer + grpc_head;
}

static void answer(struct rd_session *s, int32_t id, struct rd_stream *st) {
  const nghttp2_nv head[] = {pair(":status", "200"), pair("content-type", "application/grpc")};
  nghttp2_data_provider body = {.source.ptr = st, .read_callback = answer_read};
  nghttp2_submit_response(s->http, id, head, PU_COUNT(head), &body);
}

/* ---------------------------------------------------------------- services */

/* The first field of a request, where it is text; every request of ours has its name there. NULL where malformed. */
static char *request_name(const struct rd_stream *st) {
  char *name = NULL;
  struct rd_proto in = rd_proto_read(st->request.data + grpc_head, st->request.len - grpc_head);
  for (struct rd_field f; rd_proto_next(&in, &f);)
    if (f.number == 1 && f.bytes)
      pu_set(&name, rd_proto_text(&f));
  if (in.bad)
    pu_set(&name, NULL);
  else if (!name)
    name = pu_strdup("");
  return name;
}

/* GetSecretRequest {ID=1} -> GetSecretResponse {data=1} */
static void get_secret(struct rd_session *s, int32_t id, struct rd_stream *st, const char *name) {
  size_t len = 0;
  const void *value = s->events.secret(s->events.arg, name, &len);
  if (!value) {
    refuse(s, id, GRPC_NOT_FOUND, "no such secret");
  } else if (len > rd_secret_max) {
    refuse(s, id, GRPC_EXHAUSTED, "the secret is larger than 500 KiB");
  } else {
    rd_proto_put_bytes(answer_room(st, rd_proto_bytes_size(1, len)), 1, value, len);
    answer(s, id, st);
  }
}

/* CredentialsRequest {Host=1} -> CredentialsResponse {Username=1, Secret=2}; empty means anonymous. */
static void get_credentials(struct rd_session *s, int32_t id, struct rd_stream *st, const char *host) {
  const char *user = NULL, *password = NULL;
  if (s->events.credentials(s->events.arg, host, &user, &password) && user && password) {
    size_t n = strlen(user), m = strlen(password);
    uint8_t *out = answer_room(st, rd_proto_bytes_size(1, n) + rd_proto_bytes_size(2, m));
    rd_proto_put_bytes(out + rd_proto_put_bytes(out, 1, user, n), 2, password, m);
  } else {
    answer_room(st, 0);
  }
  answer(s, id, st);
}

/* HealthCheckResponse {status=1: SERVING} */
static void get_health(struct rd_session *s, int32_t id, struct rd_stream *st) {
  uint8_t out[20];
  size_t n = rd_proto_put_int(out, 1, 1);
  memcpy(answer_room(st, n), out, n);
  answer(s, id, st);
}

/* CheckAgentRequest {ID=1} -> an empty answer */
static void check_agent(struct rd_session *s, int32_t id, struct rd_stream *st, const char *name) {
  if (!s->events.agent_known(s->events.arg, *name ? name : "default")) {
    refuse(s, id, GRPC_NOT_FOUND, "no such agent");
    return;
  }
  answer_room(st, 0);
  answer(s, id, st);
}

/* The request is whole: one message, not compressed, behind a head of 5 bytes. */
static void serve(struct rd_session *s, int32_t id, struct rd_stream *st) {
  const uint8_t *head = (const uint8_t *)st->request.data;
  st->answered = true;
  if (!st->path || st->too_large || st->request.len < grpc_head || head[0] ||
      ((uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 8 | head[4]) != st->request.len - grpc_head) {
    refuse(s, id, st->too_large ? GRPC_EXHAUSTED : GRPC_INTERNAL, "the request is not one message of gRPC");
    return;
  }
  PU_AUTO_FREE name = request_name(st);
  if (!name)
    refuse(s, id, GRPC_INTERNAL, "the request is malformed");
  else if (pu_eq(st->path, rd_session_methods[0]))
    get_secret(s, id, st, name);
  else if (pu_eq(st->path, rd_session_methods[1]))
    get_credentials(s, id, st, name);
  else if (pu_eq(st->path, rd_session_methods[2]))
    get_health(s, id, st);
  else if (pu_eq(st->path, rd_session_methods[3]))
    check_agent(s, id, st, name);
  else
    refuse(s, id, GRPC_UNIMPLEMENTED, "not offered");
}

/* ---------------------------------------------------------------- agents: bytes both ways, each piece a BytesMessage {data=1} */

static ssize_t says_read(nghttp2_session *http, int32_t id, uint8_t *out, size_t room, uint32_t *flags, nghttp2_data_source *source, void *arg) {
  struct rd_stream *st = source->ptr;
  (void)arg;
  size_t n = st->says.len < room ? st->says.len : room;
  if (!n && !st->silent)
    return NGHTTP2_ERR_DEFERRED;
  if (n)
    memcpy(out, st->says.data, n);
  rd_buf_consume(&st->says, n);
  if (!st->says.len && st->silent) {
    const nghttp2_nv trailer = pair("grpc-status", "0");
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(http, id, &trailer, 1);
  }
  return (ssize_t)n;
}

void rd_session_agent_says(struct rd_session *s, struct rd_stream *st, const void *data, size_t len) {
  size_t inner = rd_proto_bytes_size(1, len);
  if (len && len <= max_request && !st->silent) {
    uint8_t *message = pu_calloc(1, grpc_head + inner);
    grpc_length(message, inner);
    rd_proto_put_bytes(message + grpc_head, 1, data, len);
    pu_buf_add(&st->says, message, grpc_head + inner);
    free(message);
  }
  st->silent = st->silent || !len;
  if (st->says.len > max_waiting)
    nghttp2_submit_rst_stream(s->http, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_ENHANCE_YOUR_CALM);
  else
    nghttp2_session_resume_data(s->http, st->id);
  nghttp2_session_send(s->http);
}

/* Whole messages of what has come are handed to the agent. False: it is gone, or this is no gRPC. */
static bool agent_hears(struct rd_session *s, struct rd_stream *st) {
  while (st->request.len >= grpc_head) {
    const uint8_t *head = (const uint8_t *)st->request.data;
    size_t len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
    if (head[0] || len > max_request)
      return false;
    if (st->request.len - grpc_head < len)
      return true;
    struct rd_proto in = rd_proto_read(head + grpc_head, len);
    for (struct rd_field f; rd_proto_next(&in, &f);)
      if (f.number == 1 && f.bytes && f.len && !s->events.agent_hears(st->agent, f.data, f.len))
        return false;
    if (in.bad)
      return false;
    rd_buf_consume(&st->request, grpc_head + len);
  }
  return true;
}

static void agent_open(struct rd_session *s, int32_t id, struct rd_stream *st) {
  const nghttp2_nv head[] = {pair(":status", "200"), pair("content-type", "application/grpc")};
  nghttp2_data_provider body = {.source.ptr = st, .read_callback = says_read};
  st->id = id;
  st->agent = s->events.agent_open(s->events.arg, st->agent_id ? st->agent_id : "default", st);
  st->answered = true;
  if (st->agent)
    nghttp2_submit_response(s->http, id, head, PU_COUNT(head), &body);
  else
    refuse(s, id, GRPC_NOT_FOUND, "no such agent, or it does not answer");
}

/* ---------------------------------------------------------------- HTTP/2 */

static int on_begin(nghttp2_session *http, const nghttp2_frame *frame, void *arg) {
  struct rd_session *s = arg;
  if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
    return 0;
  struct rd_stream *st = pu_calloc(1, sizeof *st);
  st->next = s->streams;
  if (st->next)
    st->next->prev = st;
  s->streams = st;
  nghttp2_session_set_stream_user_data(http, frame->hd.stream_id, st);
  return 0;
}

static int on_header(nghttp2_session *http, const nghttp2_frame *frame, const uint8_t *name, size_t nlen, const uint8_t *value, size_t vlen,
                     uint8_t flags, void *arg) {
  struct rd_stream *st = nghttp2_session_get_stream_user_data(http, frame->hd.stream_id);
  (void)flags;
  (void)arg;
  if (st && nlen == 5 && memcmp(name, ":path", 5) == 0)
    pu_set(&st->path, pu_asprintf("%.*s", (int)vlen, (const char *)value));
  if (st && nlen == sizeof agent_id_header - 1 && memcmp(name, agent_id_header, nlen) == 0)
    pu_set(&st->agent_id, pu_asprintf("%.*s", (int)vlen, (const char *)value));
  return 0;
}

static int on_chunk(nghttp2_session *http, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg) {
  struct rd_stream *st = nghttp2_session_get_stream_user_data(http, id);
  size_t room = st && st->agent ? max_request + grpc_head + len : max_request;
  (void)flags;
  if (!st || (st->answered && !st->agent))
    return 0;
  if (st->request.len + len > room)
    st->too_large = true;
  else
    pu_buf_add(&st->request, data, len);
  if (st->agent && !agent_hears(arg, st))
    nghttp2_submit_rst_stream(http, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  return 0;
}

static int on_frame(nghttp2_session *http, const nghttp2_frame *frame, void *arg) {
  struct rd_session *s = arg;
  bool head = frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
  bool last = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
  struct rd_stream *st = head || last ? nghttp2_session_get_stream_user_data(http, frame->hd.stream_id) : NULL;
  if (st && head && pu_eq(st->path, rd_session_methods[4]))
    agent_open(s, frame->hd.stream_id, st);
  if (st && last && st->agent)
    s->events.agent_hears(st->agent, "", 0);
  else if (st && last && !st->answered)
    serve(s, frame->hd.stream_id, st);
  return 0;
}

static int on_close(nghttp2_session *http, int32_t id, uint32_t code, void *arg) {
  struct rd_stream *st = nghttp2_session_get_stream_user_data(http, id);
  (void)code;
  nghttp2_session_set_stream_user_data(http, id, NULL);
  if (st)
    stream_free(arg, st);
  return 0;
}

static ssize_t on_send(nghttp2_session *http, const uint8_t *data, size_t len, int flags, void *arg) {
  struct rd_session *s = arg;
  (void)http;
  (void)flags;
  s->events.send(s->events.arg, data, len);
  return (ssize_t)len;
}

struct rd_session *rd_session_new(const struct rd_session_events *events) {
  struct rd_session *s = pu_calloc(1, sizeof *s);
  nghttp2_session_callbacks *calls = NULL;
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, max_streams},
                                             {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, max_header_list}};
  s->events = *events;
  if (nghttp2_session_callbacks_new(&calls) != 0)
    abort(); /* out of memory, as below: nothing else makes these fail */
  nghttp2_session_callbacks_set_on_begin_headers_callback(calls, on_begin);
  nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_chunk);
  nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
  nghttp2_session_callbacks_set_send_callback(calls, on_send);
  if (nghttp2_session_server_new(&s->http, calls, s) != 0 ||
      nghttp2_submit_settings(s->http, NGHTTP2_FLAG_NONE, settings, PU_COUNT(settings)) != 0)
    abort();
  nghttp2_session_callbacks_del(calls);
  return s;
}

bool rd_session_feed(struct rd_session *s, const void *data, size_t len) {
  ssize_t n = nghttp2_session_mem_recv(s->http, data, len);
  return nghttp2_session_send(s->http) == 0 && n == (ssize_t)len && (nghttp2_session_want_read(s->http) || nghttp2_session_want_write(s->http));
}

/* nghttp2 tells nothing of the streams that are still open when it goes. */
void rd_session_free(struct rd_session **session) {
  struct rd_session *s = *session;
  if (!s)
    return;
  *session = NULL;
  nghttp2_session_del(s->http);
  while (s->streams)
    stream_free(s, s->streams);
  free(s);
}
