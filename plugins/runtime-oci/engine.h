/* One configured runtime: its operations, what it knows of containers, networks and volumes, and how work leaves the loop. All on
 * the loop's thread but where a job's work() runs. An operation (ro_op) owns its jobs, its timer and its turn at a container; when it
 * ends, whatever is still under way is cut off and never reaches the operation again.
 *
 * Nothing here keeps a container alive: that is berth-monitor's, which outlives this process. What this process knows is read from
 * disk when it starts (recover.c), so being killed at any moment costs nothing but the answers that were on their way. */
#ifndef RO_ENGINE_H
#define RO_ENGINE_H

#include <berth/host.h>
#include <berth/plugin.h>
#include <berth/runtime.h>

#include "../common/util.h"
#include "record.h"
#include "settings.h"

struct ro_op;
struct ro_job;

struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_log *log;
  const struct berth_host_timer *timer;
  const struct berth_host_worker *worker;
  const struct berth_host_fd *fd;
  const struct berth_host_child *child;
  struct ro_config config;
  enum { RO_NEW, RO_RECOVERING, RO_READY, RO_REFUSED } phase;
  char *refusal;                 /* why the machine or the folders cannot be used; the next operation tries again */
  int lock;                      /* ROOT/lock: one server at a time; -1 */
  struct ro_table table;         /* containers and volumes */
  json_t *info;                  /* what info answers, once it was asked for */
  struct ro_op *first, *last;    /* open operations in their order */
};

/* ---------------------------------------------------------------- operations (op.c) */

struct ro_op {
  struct berth_instance *self;
  berth_op id;                     /* 0: the plug-in's own */
  char *subject;                   /* "container web-1", for sentences */
  void (*ready)(struct ro_op *op); /* waits until the records are read */
  void (*turn)(struct ro_op *op, struct ro_container *c); /* waits for its turn at container */
  void (*drop)(struct ro_op *op);  /* frees what the method keeps in it; may be NULL */
  void (*cancel)(struct ro_op *op); /* the caller gave up; NULL: the operation fails with CANCELLED at once */
  void (*on_timer)(struct ro_op *op);
  struct ro_op *prev, *next;
  struct ro_job *jobs;
  char *container;                 /* id of the container it has, or waits for, a turn at */
  bool holds;
  berth_handle timer;
};

/* Allocates size bytes (zeroed) that begin with a struct ro_op. */
void *ro_op_new(struct berth_instance *self, berth_op id, size_t size, void (*drop)(struct ro_op *op), const char *subject_fmt,
                ...) __attribute__((format(printf, 5, 6), returns_nonnull));
/* Calls fn(op) when the records are read, maybe at once; where they cannot be, op fails. */
void ro_op_ready(struct ro_op *op, void (*fn)(struct ro_op *op));
/* Ends op: op is gone afterwards. result is stolen; NULL gives {}. */
void ro_op_done(struct ro_op *op, json_t *result);
void ro_op_fail(struct ro_op *op, enum berth_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void ro_op_drop(struct ro_op *op); /* ends it without a word to the host */
/* For op->cancel of what must not be cut in two: the host gets CANCELLED, and op goes on to its end unseen. */
void ro_op_detach(struct ro_op *op);
/* Sets the operation's one timer. */
void ro_op_after(struct ro_op *op, int64_t ms, void (*fn)(struct ro_op *op));
/* Hands bytes to the host. False where more than 1 MiB wait there: stop reading for a while. */
bool ro_op_emit(struct ro_op *op, int channel, const void *data, size_t len);
bool ro_op_room(struct ro_op *op); /* the same without bytes */
bool ro_op_emit_json(struct ro_op *op, int channel, const json_t *v);
struct ro_op *ro_op_find(struct berth_instance *self, berth_op id);

/* One operation at a time changes a container. fn(op, c) is called when op has the turn at c, maybe at once; c is NULL where the
 * container went away meanwhile. The turn ends with op. */
void ro_op_turn(struct ro_op *op, struct ro_container *c, void (*fn)(struct ro_op *op, struct ro_container *c));

/* Runs work(data) in a worker, then done(op, data) on the loop where op still lives; free_data(data) at the end. What the work has
 * done when op is gone stays done: work must leave the disk in a state that recover.c understands. */
void ro_job_run(struct ro_op *op, void *data, void (*work)(void *data), void (*done)(struct ro_op *op, void *data),
                void (*free_data)(void *data));

/* Runs a program to its end; done as ro_job_run's. Exit code, or the negated signal; RO_NOT_STARTED where there is none. */
enum { RO_NOT_STARTED = 1000 };
typedef void ro_ran(struct ro_op *op, int status, const char *out, size_t out_len, const char *err, size_t err_len);
void ro_child_run(struct ro_op *op, const char *const *argv, const char *input, size_t input_len, int64_t timeout_ms, ro_ran *done);

void ro_log(struct berth_instance *self, enum berth_log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int64_t ro_now_ms(struct berth_instance *self); /* wall clock */

/* ---------------------------------------------------------------- life (recover.c, watch.c, events.c) */

/* Reads the records and adopts what runs; calls ro_recovered when phase is READY or REFUSED. */
void ro_recover(struct berth_instance *self);
void ro_recovered(struct berth_instance *self); /* op.c: lets those go on that wait */

/* A container's monitor is known to live: watches it, and its end is the container's end. pidfd is taken. */
void ro_watch(struct berth_instance *self, struct ro_container *c, int pidfd);
void ro_unwatch(struct berth_instance *self, struct ro_container *c);

/* Tells all who listen to events. health and exit code only with actions that have them. */
void ro_event(struct berth_instance *self, const struct ro_container *c, const char *action);

/* ---------------------------------------------------------------- methods */

extern const struct berth_runtime ro_methods;
void ro_info(struct berth_instance *self, berth_op op);

#endif
