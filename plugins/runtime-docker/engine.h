/* One configured engine: its operations, its connection, what is known of it. All on the loop's thread but where a job's
 * work() runs. The life of things: an operation (rd_op) owns its calls, its tunnel, its job and its timer; when it ends,
 * whatever is still under way is cut off and never reaches the operation again. */
#ifndef RD_ENGINE_H
#define RD_ENGINE_H

#include <berth/host.h>
#include <berth/plugin.h>
#include <berth/runtime.h>

#include "limits.h"
#include "util.h"

/* The entry's configuration; see README.md. */
struct rd_config {
  char *host;   /* as written, for sentences */
  char *socket; /* path, or NULL for TCP */
  char *base;   /* "http://localhost", "https://10.0.0.5:2376" */
  char *tls_ca, *tls_cert, *tls_key;
  int api_min; /* 1.41 is 141 */
  int64_t timeout_ms, connect_timeout_ms;
  int64_t context_max;
};

struct rd_op;
struct rd_call;
struct rd_tunnel;
struct rd_job;

struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_log *log;
  const struct berth_host_timer *timer;
  const struct berth_host_http *http;
  const struct berth_host_worker *worker;
  const struct berth_host_fd *fd;
  struct rd_config config;
  int api;         /* spoken with the engine; 0: not asked yet, or the engine went away since */
  json_t *version; /* its answer to /version */
  bool podman;
  struct rd_limits limits; /* of the engine's process */
  bool asking;
  struct rd_op *first, *last; /* open operations in their order */
};

/* ---------------------------------------------------------------- operations */

struct rd_op {
  struct berth_instance *self;
  berth_op id;                     /* 0: the plug-in's own */
  char *subject;                   /* "container web-1", for sentences */
  void (*ready)(struct rd_op *op); /* waits for the engine's version */
  void (*unready)(struct rd_op *op, enum berth_code code, const char *why); /* NULL: the operation fails with it */
  void (*drop)(struct rd_op *op);  /* frees what the method keeps in it; may be NULL */
  void (*on_timer)(struct rd_op *op);
  struct rd_op *prev, *next;
  struct rd_call *calls;
  struct rd_tunnel *tunnel;
  struct rd_job *job;
  berth_handle timer;
};

/* Allocates size bytes (zeroed) that begin with a struct rd_op. */
void *rd_op_new(struct berth_instance *self, berth_op id, size_t size, void (*drop)(struct rd_op *op), const char *subject_fmt,
                ...) __attribute__((format(printf, 5, 6), returns_nonnull));
/* Calls fn(op) when the engine's version is known, maybe at once; where the engine is away, op->unready or a failure. */
void rd_op_ready(struct rd_op *op, void (*fn)(struct rd_op *op));
/* Ends op: op is gone afterwards. result is stolen; NULL gives {}. */
void rd_op_done(struct rd_op *op, json_t *result);
void rd_op_done_text(struct rd_op *op, const char *result_json);
void rd_op_fail(struct rd_op *op, enum berth_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void rd_op_drop(struct rd_op *op); /* ends it without a word to the host */
/* Sets the operation's one timer. */
void rd_op_after(struct rd_op *op, int64_t ms, void (*fn)(struct rd_op *op));
/* Hands bytes to the host. False where more than 1 MiB wait there: stop reading for a while. */
bool rd_op_emit(struct rd_op *op, int channel, const void *data, size_t len);
bool rd_op_room(struct rd_op *op); /* the same without bytes */
bool rd_op_emit_json(struct rd_op *op, int channel, const json_t *v);
struct rd_op *rd_op_find(struct berth_instance *self, berth_op id);

void rd_log(struct berth_instance *self, enum berth_log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---------------------------------------------------------------- requests */

struct rd_answer {
  enum berth_code code; /* 0: the engine answered */
  const char *message;
  int status;
  const char *body; /* of a streamed answer only where the status is an error */
  size_t len;
  json_t *json; /* of the body; NULL where it is none or was streamed; borrowed */
};

struct rd_request {
  const char *method;
  const char *path;         /* without the version: "/containers/json?all=true" */
  const json_t *body;       /* sent as JSON */
  const void *bytes;        /* or as application/x-tar */
  size_t nbytes;
  ssize_t (*read_body)(struct rd_op *op, void *buf, size_t room); /* or this: -1 waits for rd_call_resume */
  const char *header, *header_value; /* one more, or NULL */
  int64_t timeout_ms;       /* 0: the configured one; -1: none */
  size_t max_body;          /* 0: 4 MiB */
  bool raw;                 /* leave the body alone: no JSON */
  /* Pieces of a good answer; false asks for a pause of some milliseconds. */
  bool (*on_data)(struct rd_op *op, const void *data, size_t len);
  void (*on_head)(struct rd_op *op, int status, const struct berth_pair *headers, size_t nheaders);
  void (*done)(struct rd_op *op, const struct rd_answer *answer); /* may end op */
};

/* Sends a request. done comes once, unless op ends before. */
struct rd_call *rd_request(struct rd_op *op, const struct rd_request *request);
void rd_call_resume(struct rd_call *call);
/* True where the engine answered with success (2xx, 3xx). Else op has been ended with the engine's sentence. */
bool rd_answer_good(struct rd_op *op, const struct rd_answer *answer);
/* What a refusal means: 0 where the engine did not refuse. */
enum berth_code rd_answer_code(const struct rd_answer *answer);
/* Ends op with what the answer says, "SUBJECT: sentence". */
void rd_answer_fail(struct rd_op *op, const struct rd_answer *answer);

/* "?filters={"label":["x"]}" with more members where given ("dangling", "false"), percent-encoded; label may be NULL. */
char *rd_filters(const char *label, const char *key, const char *value);
/* "/containers/" + the percent-encoded name + suffix. */
char *rd_path(const char *prefix, const char *name, const char *suffix);

/* ---------------------------------------------------------------- tunnels and jobs */

struct rd_tunnel_events {
  void (*on_open)(struct rd_op *op, bool good, int status, const char *body, size_t len);
  void (*on_data)(struct rd_op *op, const void *data, size_t len);
  void (*on_close)(struct rd_op *op, enum berth_code code, const char *message); /* the last */
};
/* Opens op->tunnel with a POST of body. */
void rd_tunnel_open(struct rd_op *op, const char *path, const json_t *body, const struct rd_tunnel_events *events);
/* The same without a body, to another protocol than a bare stream: headers hold Connection and Upgrade. */
void rd_tunnel_hijack(struct rd_op *op, const char *path, const struct berth_pair *headers, size_t nheaders,
                      const struct rd_tunnel_events *events);
size_t rd_tunnel_write(struct rd_op *op, const void *data, size_t len); /* bytes that wait */
void rd_tunnel_close_write(struct rd_op *op);

/* Runs work(data) in a worker, then done(op, data) on the loop where op still lives; free_data(data) at the end. */
void rd_job_run(struct rd_op *op, void *data, void (*work)(void *data), void (*done)(struct rd_op *op, void *data),
                void (*free_data)(void *data));

/* For op's end. */
void rd_calls_cut(struct rd_op *op);

/* ---------------------------------------------------------------- methods, one file per field */

void rd_info(struct berth_instance *self, berth_op op);
void rd_image_inspect(struct berth_instance *self, berth_op op, const struct berth_runtime_image *request);
void rd_image_pull(struct berth_instance *self, berth_op op, const struct berth_runtime_image *request);
void rd_image_build(struct berth_instance *self, berth_op op, const struct berth_runtime_build *request);
void rd_image_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void rd_image_import(struct berth_instance *self, berth_op op, const struct berth_runtime_import *request);
void rd_image_remove(struct berth_instance *self, berth_op op, const struct berth_runtime_image *request);
void rd_image_prune(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void rd_network_ensure(struct berth_instance *self, berth_op op, const struct berth_runtime_network *request);
void rd_network_remove(struct berth_instance *self, berth_op op, const char *name);
void rd_network_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void rd_volume_ensure(struct berth_instance *self, berth_op op, const struct berth_runtime_volume *request);
void rd_volume_remove(struct berth_instance *self, berth_op op, const char *name);
void rd_volume_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void rd_create(struct berth_instance *self, berth_op op, const struct berth_runtime_create *request);
void rd_start(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void rd_stop(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void rd_kill(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void rd_remove(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void rd_inspect(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void rd_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void rd_events(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void rd_logs(struct berth_instance *self, berth_op op, const struct berth_runtime_logs *request);
void rd_exec(struct berth_instance *self, berth_op op, const struct berth_runtime_exec *request);
size_t rd_input(struct berth_instance *self, berth_op op, const void *data, size_t len);
void rd_resize(struct berth_instance *self, berth_op op, int32_t rows, int32_t cols);
void rd_stats(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void rd_copy_in(struct berth_instance *self, berth_op op, const struct berth_runtime_copy *request);
void rd_update(struct berth_instance *self, berth_op op, const struct berth_runtime_update *request);
void rd_copy_out(struct berth_instance *self, berth_op op, const struct berth_runtime_copy *request);

/* Reads and checks a configuration. False with a sentence. */
bool rd_config_read(const char *config_json, struct rd_config *out, char **why);
void rd_config_free(struct rd_config *c);

#endif
