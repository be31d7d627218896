/* start, stop, kill, remove, inspect, list, stats; and info. */
#include "config.h"
#include "engine.h"

#include <ctype.h>

#include "normal.h"

struct container {
  struct rd_op op;
  char *id, *signal;
  int64_t timeout_ms;
  bool force, volumes;
  int tries;
};

static void container_drop(struct rd_op *op) {
  struct container *c = (struct container *)op;
  free(c->id);
  free(c->signal);
}

/* People know containers by the first 12 digits of an id. */
static int shown_length(const char *id) {
  size_t n = strspn(id, "0123456789abcdef");
  return n == 64 && !id[n] ? 12 : 256;
}

static struct container *container_new(struct berth_instance *self, berth_op id, const struct berth_runtime_container *r) {
  const char *name = r->id ? r->id : "";
  struct container *c = rd_op_new(self, id, sizeof *c, container_drop, "container %.*s", shown_length(name), name);
  c->id = pu_strdup(name);
  c->signal = r->signal && *r->signal ? pu_strdup(r->signal) : NULL;
  c->timeout_ms = r->timeout_ms < INT32_MAX ? r->timeout_ms : INT32_MAX; /* sums stay small */
  c->force = r->force;
  c->volumes = r->volumes;
  return c;
}

/* An empty id would name the whole collection. */
static void container_go(struct container *c, void (*ready)(struct rd_op *op)) {
  if (!*c->id)
    rd_op_fail(&c->op, BERTH_INVALID, "no container is named");
  else
    rd_op_ready(&c->op, ready);
}

static void plain_done(struct rd_op *op, const struct rd_answer *a) {
  if (rd_answer_good(op, a)) /* 304 too: it was so already */
    rd_op_done(op, NULL);
}

/* ---------------------------------------------------------------- start */

static void start_ready(struct rd_op *op) {
  PU_AUTO_FREE path = rd_path("/containers/", ((struct container *)op)->id, "/start");
  rd_request(op, &(struct rd_request){.method = "POST", .path = path, .done = plain_done});
}

void rd_start(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  container_go(container_new(self, id, request), start_ready);
}

/* ---------------------------------------------------------------- stop */

/* Time for the request: the grace, and what a request may take besides. A container's own grace is not known here. */
static int64_t stop_timeout(const struct container *c) {
  return c->timeout_ms < 0 ? -1 : c->timeout_ms + c->op.self->config.timeout_ms;
}

static void stop_hard(struct rd_op *op) {
  PU_AUTO_FREE path = rd_path("/containers/", ((struct container *)op)->id, "/stop?t=0");
  rd_request(op, &(struct rd_request){.method = "POST", .path = path, .done = plain_done});
}

static void stop_waited(struct rd_op *op, const struct rd_answer *a) {
  if (a->code == BERTH_DEADLINE)
    stop_hard(op);
  else
    plain_done(op, a);
}

/* Engines before API 1.42 stop with the container's own signal only: send the other one, wait, then stop for good. */
static void stop_signalled(struct rd_op *op, const struct rd_answer *a) {
  struct container *c = (struct container *)op;
  if (rd_answer_code(a) == BERTH_CONFLICT) {
    rd_op_done(op, NULL); /* it does not run */
    return;
  }
  if (!rd_answer_good(op, a))
    return;
  PU_AUTO_FREE path = rd_path("/containers/", c->id, "/wait");
  rd_request(op, &(struct rd_request){.method = "POST", .path = path, .timeout_ms = c->timeout_ms < 0 ? 10000 : c->timeout_ms + 1,
                                      .done = stop_waited});
}

static void stop_ready(struct rd_op *op) {
  struct container *c = (struct container *)op;
  PU_AUTO_BUF query = {0};
  if (c->signal && op->self->api < 142) {
    pu_buf_adds(&query, "/kill?signal=");
    pu_url_add(&query, c->signal, "");
    PU_AUTO_FREE kill = rd_path("/containers/", c->id, query.data);
    rd_request(op, &(struct rd_request){.method = "POST", .path = kill, .done = stop_signalled});
    return;
  }
  pu_buf_adds(&query, "/stop?");
  if (c->timeout_ms >= 0)
    pu_buf_addf(&query, "t=%lld&", (long long)(c->timeout_ms + 999) / 1000);
  if (c->signal) {
    pu_buf_adds(&query, "signal=");
    pu_url_add(&query, c->signal, "");
  }
  PU_AUTO_FREE path = rd_path("/containers/", c->id, query.data);
  rd_request(op, &(struct rd_request){.method = "POST", .path = path, .timeout_ms = stop_timeout(c), .done = plain_done});
}

void rd_stop(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  container_go(container_new(self, id, request), stop_ready);
}

/* ---------------------------------------------------------------- kill */

/* Killing what stands is success; a signal that means something else ("SIGHUP") did not arrive, though. */
static void kill_done(struct rd_op *op, const struct rd_answer *a) {
  const char *signal = ((struct container *)op)->signal;
  bool deadly = !signal || rd_ends(signal, "KILL") || rd_ends(signal, "TERM") || pu_eq(signal, "9") || pu_eq(signal, "15");
  if (deadly && rd_answer_code(a) == BERTH_CONFLICT)
    rd_op_done(op, NULL);
  else
    plain_done(op, a);
}

static void kill_ready(struct rd_op *op) {
  struct container *c = (struct container *)op;
  PU_AUTO_BUF query = {0};
  pu_buf_adds(&query, "/kill");
  if (c->signal) {
    pu_buf_adds(&query, "?signal=");
    pu_url_add(&query, c->signal, "");
  }
  PU_AUTO_FREE path = rd_path("/containers/", c->id, query.data);
  rd_request(op, &(struct rd_request){.method = "POST", .path = path, .done = kill_done});
}

void rd_kill(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  container_go(container_new(self, id, request), kill_ready);
}

/* ---------------------------------------------------------------- remove */

static void remove_ready(struct rd_op *op);

/* Gone is what was wanted. "Already in progress" is not gone yet: its name is still taken, so ask again until it is. */
static void remove_done(struct rd_op *op, const struct rd_answer *a) {
  enum { most_tries = 12 };
  struct container *c = (struct container *)op;
  if (!a->code && a->status == 404) {
    rd_op_done(op, NULL);
    return;
  }
  if (!a->code && a->status == 409 && c->tries < most_tries) {
    PU_AUTO_FREE sentence = rd_sentence(a->body, a->len);
    if (strstr(sentence, "in progress")) {
      rd_op_after(op, 25 << (c->tries < 6 ? c->tries : 6), remove_ready);
      c->tries++;
      return;
    }
  }
  plain_done(op, a);
}

static void remove_ready(struct rd_op *op) {
  struct container *c = (struct container *)op;
  PU_AUTO_FREE query = pu_asprintf("?force=%d&v=%d", c->force, c->volumes);
  PU_AUTO_FREE path = rd_path("/containers/", c->id, query);
  rd_request(op, &(struct rd_request){.method = "DELETE", .path = path, .done = remove_done});
}

void rd_remove(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  container_go(container_new(self, id, request), remove_ready);
}

/* ---------------------------------------------------------------- inspect */

static void inspect_done(struct rd_op *op, const struct rd_answer *a) {
  if (rd_answer_good(op, a))
    rd_op_done(op, rd_normal_inspect(a->json));
}

static void inspect_ready(struct rd_op *op) {
  PU_AUTO_FREE path = rd_path("/containers/", ((struct container *)op)->id, "/json");
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .done = inspect_done});
}

void rd_inspect(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  container_go(container_new(self, id, request), inspect_ready);
}

/* ---------------------------------------------------------------- stats */

static void stats_done(struct rd_op *op, const struct rd_answer *a) {
  if (!rd_answer_good(op, a))
    return;
  json_t *stats = rd_normal_stats(a->json);
  if (stats)
    rd_op_done(op, stats);
  else
    rd_op_fail(op, BERTH_CONFLICT, "%s: it does not run, so there is nothing to measure", op->subject);
}

static void stats_ready(struct rd_op *op) {
  PU_AUTO_FREE path = rd_path("/containers/", ((struct container *)op)->id, "/stats?stream=false&one-shot=true");
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .done = stats_done});
}

void rd_stats(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  container_go(container_new(self, id, request), stats_ready);
}

/* ---------------------------------------------------------------- list */

struct list {
  struct rd_op op;
  char *label;
};

static void list_drop(struct rd_op *op) { free(((struct list *)op)->label); }

/* A long list is parsed and written in a worker: thousands of containers would hold the loop for too long. */
struct long_list {
  char *body, *result;
  size_t len;
};

static void long_work(void *data) {
  struct long_list *l = data;
  PU_AUTO_JSON parsed = rd_json_parse(l->body, l->len);
  PU_AUTO_JSON normal = json_is_array(parsed) ? rd_normal_list(parsed) : NULL;
  l->result = normal ? pu_json_text(normal) : NULL;
}

static void long_done(struct rd_op *op, void *data) {
  struct long_list *l = data;
  if (l->result)
    rd_op_done_text(op, l->result);
  else
    rd_op_fail(op, BERTH_INTERNAL, "%s: the engine's answer is no list", op->subject);
}

static void long_free(void *data) {
  struct long_list *l = data;
  free(l->body);
  free(l->result);
  free(l);
}

static void list_done(struct rd_op *op, const struct rd_answer *a) {
  enum { short_enough = 128 * 1024 };
  if (!rd_answer_good(op, a))
    return;
  struct long_list *l = pu_calloc(1, sizeof *l);
  struct pu_buf body = {0};
  pu_buf_add(&body, a->body, a->len);
  l->len = body.len;
  l->body = pu_buf_steal(&body);
  if (a->len > short_enough) {
    rd_job_run(op, l, long_work, long_done, long_free);
    return;
  }
  long_work(l);
  long_done(op, l);
  long_free(l);
}

static void list_ready(struct rd_op *op) {
  PU_AUTO_FREE filters = rd_filters(((struct list *)op)->label, NULL, NULL);
  PU_AUTO_FREE path = pu_asprintf("/containers/json?all=true&%s", filters);
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .raw = true, .max_body = 64 << 20, .done = list_done});
}

void rd_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  struct list *l = rd_op_new(self, id, sizeof *l, list_drop, "list of containers");
  l->label = pu_strdup(request->label);
  rd_op_ready(&l->op, list_ready);
}

/* ---------------------------------------------------------------- info */

static void info_done(struct rd_op *op, const struct rd_answer *a) {
  if (!rd_answer_good(op, a))
    return;
  json_t *info = rd_normal_info(op->self->version, a->json, op->self->api);
  json_object_set_new(info, "local", json_boolean(op->self->config.socket != NULL)); /* a socket is of this machine */
  rd_op_done(op, info);
}

static void info_ready(struct rd_op *op) {
  rd_request(op, &(struct rd_request){.method = "GET", .path = "/info", .done = info_done});
}

void rd_info(struct berth_instance *self, berth_op id) {
  rd_op_ready(rd_op_new(self, id, sizeof(struct rd_op), NULL, "engine"), info_ready);
}
