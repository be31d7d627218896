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
#include "storage.h"

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
  const struct berth_host_events *events; /* NULL: nobody hears */
  int64_t image_sweep_ms;        /* monotonic: when left-overs of images are looked for next */
  bool image_room_short;         /* that there is no room for images was said */
  int ends;                      /* of containers, that are under way */
  struct ro_storage storage;     /* found at the recovery */
  char *refusal;                 /* why the machine or the folders cannot be used; the next operation tries again */
  int lock;                      /* ROOT/lock: one server at a time; -1 */
  struct ro_table table;         /* containers and volumes */
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
  void (*ended)(struct ro_op *op); /* the container that it has its turn at, or follows, has ended; called once */
  struct ro_op *prev, *next;
  struct ro_job *jobs;
  char *container;                 /* id of the container it has, or waits for, a turn at */
  bool holds, follows;
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

/* ---------------------------------------------------------------- life (recover.c, watch.c, events.c, health.c) */

/* Reads the records and adopts what runs; calls ro_recovered when phase is READY or REFUSED. */
void ro_recover(struct berth_instance *self);
void ro_recovered(struct berth_instance *self); /* op.c: lets those go on that wait */
void ro_recover_settled(struct berth_instance *self); /* the ends that were found on return are told: READY where nothing else is missing */

/* Finds the monitor of c by its record in RUN/ID, and watches it: its end is the container's end. Where it is gone already, the end comes at
 * once. Sets pid, monitor and descriptors. */
void ro_watch(struct berth_instance *self, struct ro_container *c);
void ro_unwatch(struct berth_instance *self, struct ro_container *c);
/* Sends a signal to the container's first process: 0, or an errno (ESRCH: it has ended). */
int ro_signal(const struct ro_container *c, int signal);
/* "SIGTERM", "term", "15", "SIGRTMIN+3"; 0: none of these. */
int ro_signal_number(const char *text);

/* From now on: sees every few seconds that the packet filter is as it was left (networks.c). */
void ro_networks_watch(struct berth_instance *self);

/* Tells all who listen to events, with exit code and health where the action has them. */
void ro_event(struct berth_instance *self, const struct ro_container *c, const char *action);

/* Begins and ends the health checks of a container that runs. */
void ro_health_begin(struct berth_instance *self, struct ro_container *c);
void ro_health_end(struct berth_instance *self, struct ro_container *c);

/* ---------------------------------------------------------------- programs that stream (process.c) */

struct ro_process;
struct ro_process_events {
  void (*data)(void *arg, int stream, const void *data, size_t len); /* 1: its standard output, 2: its standard error */
  bool (*room)(void *arg);               /* false: read no more for some milliseconds. NULL: always */
  void (*done)(void *arg, int status);   /* the last call: exit code, negated signal, or RO_NOT_STARTED. The process is gone, and freed */
};
/* Starts a program with a socket as its standard input and output; it lets go of it when it is stopped. argv is copied. */
struct ro_process *ro_process_start(struct berth_instance *self, const char *const *argv, const struct ro_process_events *events, void *arg);
size_t ro_process_write(struct ro_process *p, const void *data, size_t len); /* bytes that wait */
void ro_process_end_input(struct ro_process *p);
void ro_process_stop(struct ro_process *p); /* hangs up, and kills it after 5 s; no callback comes any more. NULL: nothing */

/* ---------------------------------------------------------------- for methods */

/* Operations on one container by id or name: c is found when the records are read. */
struct ro_at {
  struct ro_op op;
  char *name, *signal; /* as asked for; signal may be NULL */
  int64_t timeout_ms;
  bool force, volumes;
  void (*go)(struct ro_at *at, struct ro_container *c);
};
/* Begins one of size bytes (which begin with a struct ro_at). go(at, c) once c is known; where there is none, missing_fine ends it with success,
 * else it fails with NOT_FOUND. */
void *ro_at_new(struct berth_instance *self, berth_op id, size_t size, const char *container, void (*drop)(struct ro_op *op));
void ro_at_begin(struct ro_at *at, bool missing_fine, void (*go)(struct ro_at *at, struct ro_container *c));

char *ro_container_dir(const struct berth_instance *self, const struct ro_container *c); /* ROOT/containers/ID */
char *ro_run_dir(const struct berth_instance *self, const struct ro_container *c);       /* RUN/ID */
char *ro_program(const struct berth_instance *self, const char *name);
char *ro_when_text(int64_t ms); /* RFC 3339 with milliseconds; "" for 0 */
enum berth_code ro_code_named(const char *word); /* "not_found" of our programs; INTERNAL for what is none */
json_t *ro_images_used(const struct berth_instance *self); /* ids of the images that containers were made from; a new reference */
json_t *ro_text(const char *s); /* "" for NULL */
/* What ro_prepare is to know of the containers with these names: {name: {"id","pid","dir","shm"}}. Those that are not there are left out. */
json_t *ro_peers(const struct berth_instance *self, const json_t *names);

/* ---------------------------------------------------------------- methods */

void ro_info(struct berth_instance *self, berth_op op);
void ro_image_inspect(struct berth_instance *self, berth_op op, const struct berth_runtime_image *request);
void ro_image_pull(struct berth_instance *self, berth_op op, const struct berth_runtime_image *request);
void ro_image_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void ro_image_import(struct berth_instance *self, berth_op op, const struct berth_runtime_import *request);
void ro_image_remove(struct berth_instance *self, berth_op op, const struct berth_runtime_image *request);
void ro_image_build(struct berth_instance *self, berth_op op, const struct berth_runtime_build *request);
void ro_image_collect(struct berth_instance *self, berth_op op, const struct berth_runtime_collect *request);
void ro_image_prune(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void ro_network_ensure(struct berth_instance *self, berth_op op, const struct berth_runtime_network *request);
void ro_network_remove(struct berth_instance *self, berth_op op, const char *name);
void ro_network_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void ro_ready(struct berth_instance *self, berth_op op, const struct berth_runtime_ready *request);
void ro_volume_ensure(struct berth_instance *self, berth_op op, const struct berth_runtime_volume *request);
void ro_volume_remove(struct berth_instance *self, berth_op op, const char *name);
void ro_volume_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void ro_create(struct berth_instance *self, berth_op op, const struct berth_runtime_create *request);
void ro_start(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void ro_stop(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void ro_kill(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void ro_remove(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void ro_inspect(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void ro_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void ro_events(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void ro_logs(struct berth_instance *self, berth_op op, const struct berth_runtime_logs *request);
void ro_exec(struct berth_instance *self, berth_op op, const struct berth_runtime_exec *request);
size_t ro_input(struct berth_instance *self, berth_op op, const void *data, size_t len);
void ro_resize(struct berth_instance *self, berth_op op, int32_t rows, int32_t cols);
void ro_stats(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void ro_copy_in(struct berth_instance *self, berth_op op, const struct berth_runtime_copy *request);
void ro_copy_out(struct berth_instance *self, berth_op op, const struct berth_runtime_copy *request);
void ro_update(struct berth_instance *self, berth_op op, const struct berth_runtime_update *request);
void ro_pause(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void ro_unpause(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);

#endif
