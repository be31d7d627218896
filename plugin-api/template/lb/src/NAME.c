/* @NAME@: routes and endpoints as one JSON file, which a load balancer that watches it reads, or a script that makes that product's
 * own configuration. The file changes at once and whole (written beside it, then renamed), and only its owner can read it.
 *
 * One write at a time is on its way, by a worker; calls that come meanwhile end with the next one. What a file does not know and
 * this says with BERTH_UNSUPPORTED: open requests (drain) and numbers (stats). */
#define _POSIX_C_SOURCE 200809L
#include <berth/host.h>
#include <berth/lb.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { max_waiting = 64, max_watchers = 16 };

/* A write. It outlives the entry where that stops meanwhile: self is NULL then. */
struct write_job {
  struct berth_instance *self;
  char *file, *text;
  int error; /* errno; 0: written */
  berth_op ops[max_waiting]; /* calls that end with it */
  size_t nops;
};

/* One configured entry. The host never looks inside. */
struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_worker *worker;
  char *file;
  json_t *state;                   /* as it is to be in the file; NULL before the first apply */
  berth_op waiting[max_waiting];   /* calls whose change no write has taken yet */
  size_t nwaiting;
  struct write_job *job;           /* the write that runs */
  berth_op watchers[max_watchers]; /* operations of events(): they run until they are cancelled; 0: free */
  char detail[256];                /* why the last write failed; "" when it did not */
};

/* ---------------------------------------------------------------- the file */

static bool write_whole(int fd, const char *text, size_t len) {
  while (len) {
    ssize_t n = write(fd, text, len);
    if (n < 0 && errno != EINTR)
      return false;
    text += n > 0 ? n : 0;
    len -= n > 0 ? (size_t)n : 0;
  }
  return fsync(fd) == 0;
}

/* In a thread of the host's pool: nothing here may touch the entry or the host. */
static void write_file(void *arg) {
  struct write_job *job = arg;
  char beside[4096];
  int n = snprintf(beside, sizeof beside, "%s.new", job->file);
  int fd = n < (int)sizeof beside ? open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : (errno = ENAMETOOLONG, -1);
  if (fd < 0 || !write_whole(fd, job->text, strlen(job->text)) || rename(beside, job->file) != 0)
    job->error = errno;
  if (fd >= 0)
    close(fd);
}

static void write_state(struct berth_instance *self);

/* Nobody waits for op 0: its caller gave up. */
static void finish(struct berth_instance *self, berth_op op, enum berth_code code, const char *message, const char *result) {
  if (op)
    self->ops->finish(self->host, op, code, message, result);
}

/* On the loop again; perhaps after stop(). */
static void file_written(void *arg) {
  struct write_job *job = arg;
  struct berth_instance *self = job->self;
  if (self) {
    self->job = NULL;
    self->detail[0] = 0;
    if (job->error)
      snprintf(self->detail, sizeof self->detail, "cannot write %s: %s", job->file, strerror(job->error));
    for (size_t i = 0; i < job->nops; i++)
      finish(self, job->ops[i], job->error ? BERTH_UNAVAILABLE : BERTH_OK, self->detail,
                        "{\"reloaded\":false,\"refused\":[]}");
    write_state(self);
  }
  free(job->file);
  free(job->text);
  free(job);
}

/* Starts a write for the calls that wait, unless one runs: then it does so at its end. */
static void write_state(struct berth_instance *self) {
  if (self->job || !self->nwaiting)
    return;
  struct write_job *job = calloc(1, sizeof *job);
  if (job) {
    job->self = self;
    job->file = strdup(self->file);
    job->text = json_dumps(self->state, JSON_INDENT(2));
  }
  bool good = job && job->file && job->text;
  for (size_t i = 0; i < self->nwaiting; i++)
    if (good)
      job->ops[job->nops++] = self->waiting[i];
    else
      finish(self, self->waiting[i], BERTH_EXHAUSTED, "out of memory", NULL);
  self->nwaiting = 0;
  if (good) {
    self->job = job;
    self->worker->run(self->host, write_file, file_written, job);
  } else if (job) {
    free(job->file);
    free(job->text);
    free(job);
  }
}

/* The state has changed: op ends when that is in the file. */
static void changed(struct berth_instance *self, berth_op op) {
  self->waiting[self->nwaiting++] = op;
  write_state(self);
}

static bool full(struct berth_instance *self, berth_op op) {
  if (self->nwaiting < max_waiting)
    return false;
  self->ops->finish(self->host, op, BERTH_EXHAUSTED, "too many changes wait for the disk", NULL);
  return true;
}

/* ---------------------------------------------------------------- berth.lb/1 */

static void apply(struct berth_instance *self, berth_op op, const struct berth_lb_apply *request) {
  if (full(self, op))
    return;
  json_t *state = request->state_json ? json_loads(request->state_json, JSON_REJECT_DUPLICATES, NULL) : NULL;
  if (!json_is_object(state)) {
    json_decref(state);
    self->ops->finish(self->host, op, BERTH_INVALID, "the state is no JSON object", NULL);
    return;
  }
  json_decref(self->state);
  self->state = state;
  changed(self, op);
}

/* The element of a list of objects whose member key has that text; NULL where there is none. */
static json_t *find(json_t *list, const char *key, const char *text, size_t *at) {
  for (*at = 0; *at < json_array_size(list); (*at)++) {
    json_t *o = json_array_get(list, *at);
    const char *value = json_string_value(json_object_get(o, key));
    if (value && text && strcmp(value, text) == 0)
      return o;
  }
  return NULL;
}

/* False where the pool is not known. */
static bool change_endpoint(json_t *state, json_t *change) {
  size_t i, at;
  json_t *pool = find(json_object_get(state, "pools"), "id", json_string_value(json_object_get(change, "pool")), &i);
  const char *id = json_string_value(json_object_get(change, "endpoint")), *to = json_string_value(json_object_get(change, "state"));
  if (!pool || !id || !to)
    return false;
  json_t *list = json_object_get(pool, "endpoints"), *there;
  if (!json_is_array(list)) {
    list = json_array();
    json_object_set_new(pool, "endpoints", list);
  }
  there = find(list, "id", id, &at);
  if (there && strcmp(to, "gone") == 0)
    json_array_remove(list, at);
  if (strcmp(to, "gone") == 0)
    return true;
  if (!there) {
    there = json_pack("{s:s}", "id", id);
    json_array_append_new(list, there);
  }
  static const char *const members[] = {"state", "address", "port", "weight"};
  for (i = 0; i < sizeof members / sizeof *members; i++)
    if (json_object_get(change, members[i]))
      json_object_set(there, members[i], json_object_get(change, members[i]));
  return true;
}

static void update(struct berth_instance *self, berth_op op, const struct berth_lb_update *request) {
  if (full(self, op))
    return;
  json_t *o = request->changes_json ? json_loads(request->changes_json, JSON_REJECT_DUPLICATES, NULL) : NULL, *change;
  json_t *next = self->state ? json_deep_copy(self->state) : NULL;
  bool known = next != NULL;
  size_t i;
  json_array_foreach(json_object_get(o, "changes"), i, change) known = known && change_endpoint(next, change);
  if (o && known) {
    json_decref(self->state);
    self->state = json_incref(next);
    changed(self, op);
  } else if (o) {
    self->ops->finish(self->host, op, BERTH_CONFLICT, "the last state that was applied has no such pool: apply it anew", NULL);
  } else {
    self->ops->finish(self->host, op, BERTH_INVALID, "the changes are no JSON", NULL);
  }
  json_decref(next);
  json_decref(o);
}

static void drain(struct berth_instance *self, berth_op op, const struct berth_lb_drain *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_UNSUPPORTED, "a file does not know which requests are open", NULL);
}

static void stats(struct berth_instance *self, berth_op op) {
  self->ops->finish(self->host, op, BERTH_UNSUPPORTED, "a file does not know what was requested", NULL);
}

/* Runs until cancelled. Nothing happens to a file that would have to be told. */
static void events(struct berth_instance *self, berth_op op) {
  for (size_t i = 0; i < max_watchers; i++)
    if (!self->watchers[i]) {
      self->watchers[i] = op;
      return;
    }
  self->ops->finish(self->host, op, BERTH_EXHAUSTED, "too many watch the events of this entry", NULL);
}

static void probe(struct berth_instance *self, berth_op op) {
  json_t *result = json_pack("{s:s, s:s, s:s}", "status", *self->detail ? "failing" : "ok", "detail", self->detail, "version", "1");
  char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
  self->ops->finish(self->host, op, text ? BERTH_OK : BERTH_INTERNAL, "the state is no JSON", text);
  free(text);
  json_decref(result);
}

/* ---------------------------------------------------------------- configuration and life */

static enum berth_code validate(const char *config, const char **why) {
  json_t *o = json_loads(config, 0, NULL);
  const char *file = json_string_value(json_object_get(o, "file"));
  bool good = file && *file == '/' && file[1];
  json_decref(o);
  if (!good)
    *why = "\"file\" is no absolute path, and berthd has no folder of its own";
  return good ? BERTH_OK : BERTH_INVALID;
}

static void stop(struct berth_instance *self) {
  if (self->job)
    self->job->self = NULL; /* its file_written() comes yet */
  json_decref(self->state);
  free(self->file);
  free(self);
}

static enum berth_code start(const struct berth_host *host, const char *config, struct berth_instance **out, const char **why) {
  struct berth_instance *self = calloc(1, sizeof *self);
  json_t *o = json_loads(config, 0, NULL);
  const char *file = json_string_value(json_object_get(o, "file"));
  if (self && file)
    self->file = strdup(file);
  json_decref(o);
  if (!self || !self->file) {
    free(self);
    *why = "out of memory";
    return BERTH_EXHAUSTED;
  }
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->worker = host->service(host, BERTH_HOST_WORKER);
  *out = self;
  return BERTH_OK;
}

/* Takes op out of a list; false where it is not in it. */
static bool take_op(berth_op *list, size_t n, berth_op op) {
  for (size_t i = 0; op && i < n; i++)
    if (list[i] == op) {
      list[i] = 0;
      return true;
    }
  return false;
}

/* The caller gave up; an op that has ended is in no list any more. A write goes on: what it puts in force was asked for. */
static void cancel(struct berth_instance *self, berth_op op) {
  if (take_op(self->watchers, max_watchers, op) || take_op(self->waiting, self->nwaiting, op) ||
      (self->job && take_op(self->job->ops, self->job->nops, op)))
    self->ops->finish(self->host, op, BERTH_CANCELLED, "cancelled", NULL);
}

static const struct berth_field fields[] = {
    {.name = "file", .type = BERTH_STRING, .required = true, .doc = "Absolute path of the file that the state is written to."}, {0}};

static const struct berth_lb lb = {
    .size = sizeof lb, .apply = apply, .update = update, .drain = drain, .stats = stats, .events = events, .probe = probe};
static const struct berth_interface interfaces[] = {{BERTH_LB, &lb}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, BERTH_HOST_WORKER, NULL};
static const struct berth_manifest manifest = {BERTH_MANIFEST_SIZES,
                                               .id = "@NAME@",
                                               .version = "0.1.0",
                                               .summary = "Routes and endpoints as one JSON file.",
                                               .license = "@LICENSE@",
                                               .interfaces = interfaces,
                                               .needs = needs,
                                               .config = fields};

/* The one symbol that the host looks for. */
extern const struct berth_plugin BERTH_PLUGIN_SYMBOL BERTH_EXPORT;
const struct berth_plugin BERTH_PLUGIN_SYMBOL = {.size = sizeof(struct berth_plugin),
                                                 .manifest = &manifest,
                                                 .validate = validate,
                                                 .start = start,
                                                 .stop = stop,
                                                 .cancel = cancel};
