/* Plug-ins as the rest of the server sees them: load the configured entries, find the ones that implement an interface, call
 * their methods, stop and reload them, list them. What a plug-in may do in return (log, HTTP, timers, …) is the business of
 * host.c and services/; what only the daemon can do (state, secrets, API) comes in through struct bt_plugin_server.
 *
 * A call, from the loop's thread:
 *
 *     const struct berth_runtime *rt = bt_plugin_methods(entry, BERTH_RUNTIME);
 *     struct bt_plugin_call call = {.method = "runtime.start", .deadline_ms = 30000, .done = started, .arg = me};
 *     bt_plugin_invoke(entry, rt, start, &call, &request);
 *
 * done comes exactly once and never from inside bt_plugin_invoke, whatever the plug-in does: a method that it lacks, a
 * deadline, a stop, a garbled result end the call with a code and a sentence. All functions here are for the loop's
 * thread only. */
#ifndef BT_PLUGIN_PLUGIN_H
#define BT_PLUGIN_PLUGIN_H

#include <berth/host.h>
#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/err.h"

struct bt_feed;
struct bt_http;
struct bt_loop;
struct bt_pool;
struct bt_strs;
struct bt_yaml;

struct bt_plugins; /* all entries of one server */
struct bt_plugin;  /* one configured entry; lives as long as its bt_plugins, also when it failed or was removed */

/* ---------------------------------------------------------------- what the daemon gives */

/* What plug-ins ask of the rest of the server. A member that is NULL makes the service behind it absent: a plug-in that needs it is
 * refused. The struct is borrowed for the life of the registry. Callbacks may answer before they return. */
struct bt_plugin_server {
  void *arg;

  /* Key-value of an entry: values in base64, NULL deletes; done when durable. The host enforces sizes and counts. */
  void (*kv_put)(void *arg, const char *entry, const char *key, const char *value,
                 void (*done)(void *done_arg, enum bt_code code, const char *message), void *done_arg);
  /* Every pair whose key begins with prefix, in order of the keys, before it returns; found returning false stops. */
  void (*kv_scan)(void *arg, const char *entry, const char *prefix,
                  bool (*found)(void *found_arg, const char *key, const char *value), void *found_arg);

  /* The plain value of a secret of namespace "default"; borrowed for the callback. */
  void (*secret)(void *arg, const char *name,
                 void (*done)(void *done_arg, enum bt_code code, const char *message, const void *value, size_t len),
                 void *done_arg);

  /* The stream of commits; events are its entries of kind "event" whose value is
   * {"type","severity","namespace","app","subject","message","time_ms","data"} (plugin-api/docs/events.md). */
  struct bt_feed *feed;
  /* Stored events with a revision over "after", oldest first, as in the feed and with their "revision"; a new array. *complete:
   * none was forgotten since "after". For the past that the feed no longer has (a restart). May be NULL. */
  json_t *(*past_events)(void *arg, uint64_t after, bool *complete);
  /* Commits an event of the entry's own; type already has its prefix "plugin.". data_json may be NULL. */
  void (*publish)(void *arg, const char *entry, const char *type, const char *severity, const char *message,
                  const char *data_json);

  /* True where the API keeps the path for itself. Requests reach plug-ins through bt_plugins_route(). NULL: the service
   * berth.host.routes/1 is absent. */
  bool (*path_reserved)(void *arg, const char *method, const char *path);

  /* A read of the API, as berth_host_query has it. */
  void (*query)(void *arg, const char *path,
                void (*done)(void *done_arg, enum bt_code code, const char *message, const char *json), void *done_arg);

  /* The server's own and the instances' samples, one family after the other; those of plug-ins are added by the host. */
  void (*collect)(void *arg, int64_t max_age_ms, void (*sample)(void *done_arg, const struct berth_metric_sample *sample),
                  void (*done)(void *done_arg, enum bt_code code, const char *message), void *done_arg);
};

struct bt_plugins_setup {
  struct bt_loop *loop;
  struct bt_http *http;
  struct bt_pool *pool;
  const struct bt_plugin_server *server;
  /* Folders that are searched for NAME.so and NAME/.libs/NAME.so, in order, ends with NULL. NULL: the build tree that the
   * program stands in, then the installed folder. Copied. */
  const char *const *dirs;
  int64_t retry_ms; /* before a crashed plug-in's first restart; 0: 200. Other waits are multiples of it. For tests */
};

struct bt_plugins *bt_plugins_new(const struct bt_plugins_setup *setup);
/* Stops all entries (open calls end with BT_CANCELLED before this returns), frees all. Shared objects stay mapped. */
void bt_plugins_free(struct bt_plugins **plugins);

/* ---------------------------------------------------------------- entries */

/* Where an entry's code runs, and what it may. Zero is the default. */
struct bt_plugin_isolation {
  /* By default what Berth brings along runs in this process, and everything else in one of its own. */
  enum bt_plugin_mode { BT_PLUGIN_MODE_DEFAULT, BT_PLUGIN_MODE_PROCESS, BT_PLUGIN_MODE_NONE } mode;
  /* Of a process of its own: */
  const char *user;      /* name or number; NULL: one of the entry's own, where this server runs as root */
  int64_t memory;        /* bytes; 0: 256 MiB */
  int64_t files;         /* open descriptors; 0: 256 */
  int64_t processes;     /* of its user; 0: 64 */
  int64_t cpu;           /* seconds of processor time in its life; 0: no limit */
  bool network;          /* it may open sockets itself, past its egress */
  /* A program and its arguments that speak the wire over standard input and output, in place of a .so. NULL: none. */
  const struct bt_strs *command;
  /* Of both: where HTTP requests may go (egress.h). NULL: a plug-in in this process is not asked; one in its own reaches public hosts,
   * and what its configuration names. */
  const struct bt_strs *egress;
};

/* One entry of the configuration. All borrowed. */
struct bt_plugin_entry {
  const char *name;             /* unique; [a-z0-9-]{1,63} */
  const char *plugin;           /* "runtime-docker", or an absolute path of a .so */
  json_t *config;               /* object or NULL */
  struct bt_loc loc;            /* where the entry stands, for diagnostics */
  const struct bt_yaml *places; /* the same as a tree with positions, for diagnostics; NULL where unknown */
  struct bt_plugin_isolation isolation;
};

/* Starts entries, or (called again) makes the running ones equal to them: new ones start, those that are gone stop, a changed
 * config is handed to reload() or, where that is missing or an immutable field changed, the entry is stopped and started.
 * Never fails as a whole: an entry that cannot run is "failed" with a sentence and the others go on. */
void bt_plugins_load(struct bt_plugins *plugins, const struct bt_plugin_entry *entries, size_t n);

/* A secret of namespace "default" has a new value (name NULL: any may have): entries whose configuration names it take it, by a
 * reload, or a start where they failed for want of it. */
void bt_plugins_secret_changed(struct bt_plugins *plugins, const char *name);

/* Checks entries without starting them (berthd --check): the .so is loaded and the config validated. Adds to diags. */
void bt_plugins_check(const struct bt_plugin_entry *entries, size_t n, const char *const *dirs, struct bt_diags *diags);

enum bt_plugin_status {
  BT_PLUGIN_STARTING, /* waits for a secret that its config names, or for its process */
  BT_PLUGIN_OK,
  BT_PLUGIN_FAILED,
  BT_PLUGIN_REMOVED,    /* no longer in the configuration */
  BT_PLUGIN_RESTARTING, /* its process crashed and comes again soon */
  BT_PLUGIN_BROKEN      /* it crashed five times in a row: tried again now and then */
};

/* The i-th running entry that implements the interface, in the order of the configuration; NULL after the last. */
struct bt_plugin *bt_plugins_find(struct bt_plugins *plugins, const char *interface, size_t i);
struct bt_plugin *bt_plugins_named(struct bt_plugins *plugins, const char *name); /* NULL where there is none */
const char *bt_plugin_name(const struct bt_plugin *entry);
enum bt_plugin_status bt_plugin_status(const struct bt_plugin *entry);
const char *bt_plugin_error(const struct bt_plugin *entry); /* why it failed; "" */

/* [{"name","plugin","version","abi","path","status","error","interfaces":[],"calls","errors","in_flight","last_error",
 *   "summary","isolation":"process"|"none","pid" (0: none of its own),"confined":[],"unconfined":[] (confine.h),"restarts",
 *   "last_failure"}] for GET /v1/plugins; new reference. */
json_t *bt_plugins_json(const struct bt_plugins *plugins);
/* What the shared object NAME (or path) says of itself, without starting it, as in the list above plus "license", "needs" and
 * "config" (its schema). New reference, or NULL with a sentence. */
json_t *bt_plugin_inspect(const char *plugin, const char *const *dirs, struct bt_err **err);

/* Calls probe of every running entry that implements berth.registry, .chat, .lb, .monitor or .scm, and info of a berth.runtime; for berth doctor. done gets an array of
 * {"name","interface","code","message","result"} (result as the interface has it, absent where code is not "ok"); from inside
 * where there is none to ask. */
void bt_plugins_probe(struct bt_plugins *plugins, int64_t deadline_ms, void (*done)(void *arg, json_t *report_steal), void *arg);

/* What the entries' manifests declare against what was found (compat.h), entry by entry: a table for berth doctor. products: {entry:
 * {product: version}}, as their probes found them. [{"element","declared","found","verdict","mend"}]; new reference. */
json_t *bt_plugins_table(struct bt_plugins *plugins, const json_t *products);

/* ---------------------------------------------------------------- calls */

struct bt_plugin_call {
  const char *method;  /* "runtime.start": for logs and errors; a literal */
  int64_t deadline_ms; /* 0: 60,000; -1: none (streams) */
  /* A piece of a stream or of progress. Returns the bytes that wait on the caller's side. Also called with len 0, to ask
   * just that. May be NULL. */
  size_t (*emit)(void *arg, int channel, const void *data, size_t len);
  /* The end, exactly once, never from inside bt_plugin_begin/invoke/cancel. result is an object, borrowed; {} where the
   * plug-in gave none; NULL where code is not BT_OK. message: a sentence, "" where code is BT_OK. */
  void (*done)(void *arg, enum bt_code code, const char *message, json_t *result);
  void *arg;
  const void *owner; /* for bt_plugins_end_owned; NULL: nobody */
};

/* The table of an interface (struct berth_runtime …), or NULL where the entry does not run or lacks it. Ask anew for each
 * call: it may change with a reload. */
const void *bt_plugin_methods(const struct bt_plugin *entry, const char *interface);

/* Starts a call: the method is to be invoked with the op returned, between bt_plugin_enter and bt_plugin_leave. */
berth_op bt_plugin_begin(struct bt_plugin *entry, const struct bt_plugin_call *call);
/* Brackets around every step into the plug-in's code: the loop's stall watch then knows its name. */
struct berth_instance *bt_plugin_enter(struct bt_plugin *entry);
void bt_plugin_leave(struct bt_plugin *entry);
/* Ends an op from the host's side, in the next turn: the plug-in never saw it. */
void bt_plugin_refuse(struct bt_plugin *entry, berth_op op, enum bt_code code, const char *message);
/* The caller gave up: the plug-in's cancel() is called, done comes with BT_CANCELLED in the next turn, no emit any more. An
 * op that has ended is fine. */
void bt_plugin_cancel(struct bt_plugin *entry, berth_op op);
/* As cancel, but done does not come either: for callers that are being freed. */
void bt_plugin_abandon(struct bt_plugin *entry, berth_op op);
/* The owner of calls is about to be freed: those that are open end with BT_CANCELLED before this returns (the one case where
 * done comes from inside), and their plug-ins' cancel() is called. */
void bt_plugins_end_owned(struct bt_plugins *plugins, const void *owner);

/* Starts the call and invokes table->method(self, op, …). An absent table or method ends it with BT_UNSUPPORTED. Gives the
 * op, for cancel and for methods that speak about an op (input, resize). */
#define bt_plugin_invoke(entry, table, method, call, ...)                                                    \
  ({                                                                                                         \
    struct bt_plugin *inv_entry_ = (entry);                                                                  \
    const __typeof__(*(table)) *inv_table_ = (table);                                                        \
    berth_op inv_op_ = bt_plugin_begin(inv_entry_, (call));                                                  \
    if (inv_table_ && BERTH_HAS(inv_table_, method) && inv_table_->method) {                                 \
      inv_table_->method(bt_plugin_enter(inv_entry_), inv_op_ __VA_OPT__(, ) __VA_ARGS__);                   \
      bt_plugin_leave(inv_entry_);                                                                           \
    } else {                                                                                                 \
      bt_plugin_refuse(inv_entry_, inv_op_, BT_UNSUPPORTED, "it does not have the method " #method);         \
    }                                                                                                        \
    inv_op_;                                                                                                 \
  })

enum bt_code bt_plugin_code(enum berth_code code); /* of the contract -> ours; unknown numbers: BT_INTERNAL */
enum berth_code bt_plugin_code_out(enum bt_code code);

/* ---------------------------------------------------------------- routes and metrics of plug-ins */

struct bt_plugin_route {
  struct bt_plugin *entry;
  const char *method, *path, *summary; /* borrowed until the route is removed */
  bool open;                           /* no API token is asked for */
  berth_handle id;                     /* private */
};
/* The route for a request: exact before prefix, longest prefix first. False where there is none; then *allow (may be NULL) is
 * true where the path is there under another method. */
bool bt_plugins_route(struct bt_plugins *plugins, const char *method, const char *path, struct bt_plugin_route *out,
                      bool *allow);
/* Hands the request to the route's plug-in. done exactly once, never from inside: with BT_OK and the answer, or BT_DEADLINE
 * after 30 s, BT_UNAVAILABLE where the plug-in went away. Returns the op for bt_plugin_abandon (client is gone). */
berth_op bt_plugins_route_call(const struct bt_plugin_route *route, const struct berth_route_request *request,
                               void (*done)(void *arg, enum bt_code code, const char *message, int status,
                                            const struct berth_pair *headers, size_t nheaders, const void *body, size_t len),
                               void *arg);
/* All routes, for the OpenAPI document. */
void bt_plugins_each_route(struct bt_plugins *plugins, void (*fn)(void *arg, const struct bt_plugin_route *route), void *arg);

/* The plug-ins' own metrics, and the host's about them (berth_plugin_up, _calls_total, _errors_total, _in_flight); families
 * together. */
void bt_plugins_metrics(struct bt_plugins *plugins, void (*sample)(void *arg, const struct berth_metric_sample *sample),
                        void *arg);

#endif
