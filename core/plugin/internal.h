/* Inside the plug-in room: what the registry, the host services and the calls share. Not for other rooms. */
#ifndef BT_PLUGIN_INTERNAL_H
#define BT_PLUGIN_INTERNAL_H

#include <pthread.h>

#include "base/mem.h"
#include "base/vec.h"
#include "plugin/loader.h"
#include "plugin/ops.h"
#include "plugin/plugin.h"
#include "plugin/slots.h"
#include "plugin/spawn.h"

struct bt_egress;
struct bt_map;
struct bt_member;
struct bt_remote;
struct bt_timer;
struct bt_resource;

/* Of the log, under the inbox lock: complain.h. */
struct bt_quota {
  int64_t since_ms;
  int said, left_out;
};

/* The host as a plug-in holds it. Cells live as long as the process: a thread of a plug-in may call finish() or log() after
 * the entry is gone. entry is read and cleared under bt_inbox_lock by threads other than the loop's. */
struct bt_host_cell {
  struct berth_host host; /* first: a berth_host pointer is a cell pointer */
  struct bt_plugin *entry; /* NULL once freed */
  pthread_t loop_thread;
  char *label; /* "plugin/<name>" */
  char *name;
  struct bt_quota lines, complaints;
  bool counting; /* what was left out is said soon */
  struct bt_host_cell *next;
};

struct bt_metrics;

struct bt_plugin {
  struct bt_plugins *plugins;
  struct bt_host_cell *cell;
  char *plugin; /* as the configuration has it */
  struct bt_plugin_lib *lib; /* borrowed; NULL where nothing was loaded */
  char *path;                /* of its .so; NULL where it is a command */
  struct bt_isolation isolation;
  struct bt_egress *egress;  /* where its requests may go; NULL: nobody asks */
  struct bt_http *http;      /* its own client where there is an egress: no connection of others is used; NULL until asked for */
  struct bt_remote *remote;  /* its process; NULL: none, or it runs in this one */
  struct berth_instance *self; /* what methods take; NULL while it does not run */
  enum bt_plugin_status status;
  bool stopping; /* no new handles */
  const struct bt_plugin_entry *wanted; /* scratch of bt_plugins_load */
  char *error;
  json_t *wish;   /* the configuration that was asked for last */
  json_t *raw;    /* the configuration as it was given, once its fields were found good */
  json_t *in_force; /* the same, once the plug-in took it */
  bool held;      /* it is not started for what other entries are or lack (hold.c) */
  bool again;     /* another one came while its process was busy with the last */
  json_t *config; /* as the plug-in got it; holds secrets */
  struct bt_entry_secrets *resolving; /* while STARTING */
  struct bt_resource *resources;      /* open handles, newest first */
  struct bt_metrics *metrics;         /* own series, NULL where none */
  struct bt_map *kv_keys;             /* known keys, NULL until the first put */
  int64_t publish_ms; /* events of its own: how many more it may publish (services/events.c) */
  int publish_left;
  uint64_t publish_dropped;
  uint64_t calls, errors, in_flight;
  char *last_error;
  struct bt_timer *count; /* says what was left out of the log */
  /* Crashes of its process (supervise.c). */
  struct bt_timer *restart;
  int failures;        /* in a row */
  uint64_t restarts;
  int64_t running_ms;  /* since when it runs */
  char *last_failure;
};

struct bt_plugins {
  struct bt_loop *loop;
  struct bt_http *http;
  struct bt_pool *pool;
  const struct bt_plugin_server *server;
  struct bt_strs dirs;
  BT_VEC(struct bt_plugin *) entries; /* in the order of the configuration; removed ones behind */
  struct bt_slots handles;
  struct bt_ops ops;
  struct bt_remote *leaving; /* processes that were told to stop */
  int64_t retry_ms;
  struct bt_timer *judge; /* set where an entry's status changed (hold.c) */
};

/* ---------------------------------------------------------------- entries (entry.c) */

struct bt_plugin *bt_entry_new(struct bt_plugins *plugins, const char *name);
void bt_entry_free(struct bt_plugin **entry); /* stops it first */
/* Makes the entry run with this configuration, from whatever state it is in. */
void bt_entry_apply(struct bt_plugin *entry, const struct bt_plugin_entry *want);
/* Fetches the secrets of its configuration anew where it names this one (NULL: any). */
void bt_entry_secret_changed(struct bt_plugin *entry, const char *name);
void bt_entry_stop(struct bt_plugin *entry);
void bt_entry_set_status(struct bt_plugin *entry, enum bt_plugin_status status, const char *error);

/* Where the plug-in at path (NULL: a command) is to run. What Berth brings along is trusted as Berth is. Free it. */
struct bt_isolation bt_isolation_of(const struct bt_plugin_isolation *want, const char *path);
void bt_isolation_free(struct bt_isolation *isolation);
/* Would the same process do? Egress is not compared: it changes without a restart. */
bool bt_isolation_same(const struct bt_isolation *a, const struct bt_isolation *b);

/* What the entry's process says (remote.h): its manifest; that it cannot be loaded; the end of a start or reload with this
 * configuration; that it is gone, with the rest of a sentence that begins with the plug-in. */
void bt_entry_hello(struct bt_plugin *entry, const json_t *manifest);
void bt_entry_refused(struct bt_plugin *entry, const char *why);
void bt_entry_configured(struct bt_plugin *entry, json_t *config, bool starting, enum bt_code code, const char *step,
                         const char *message);
void bt_entry_lost(struct bt_plugin *entry, const char *why);
/* Starts the entry's process; the configuration follows its hello. */
void bt_entry_launch(struct bt_plugin *entry);

/* Checks its configuration anew and goes on from there; for an entry that is held back no longer. */
void bt_entry_resume(struct bt_plugin *entry);
/* It cannot run beside the others: stopped, with the sentence. */
void bt_entry_hold(struct bt_plugin *entry, const char *why);

/* ---------------------------------------------------------------- entries beside each other (hold.c) */

/* May the entry start? Else it is held back: until all manifests are known, or (failed, with a sentence) until another entry
 * comes or goes. */
bool bt_hold_passes(struct bt_plugin *entry);
/* An entry's status changed: in the next turn those that are held, and those that run, are judged anew. */
void bt_hold_changed(struct bt_plugins *plugins);

/* What bt_plugin_inspect gives; new reference (list.c). */
json_t *bt_manifest_describe(const struct bt_plugin_lib *lib);

/* ---------------------------------------------------------------- crashes (supervise.c) */

/* The process is gone and everything of it is down: says so, and starts it again after a while. */
void bt_supervise_lost(struct bt_plugin *entry, const char *why);
void bt_supervise_started(struct bt_plugin *entry);
void bt_supervise_reset(struct bt_plugin *entry); /* by hand: failures before do not count, and nothing is started */

/* ---------------------------------------------------------------- host (host.c, cell.c) */

/* A cell of the process-wide list for an entry of that name. service: what host->service does. */
struct bt_host_cell *bt_host_cell_new(struct bt_plugin *entry, const char *name, const char *version,
                                      const void *(*service)(const struct berth_host *host, const char *id));
struct bt_host_cell *bt_host_cell_of_server(struct bt_plugin *entry, const char *name);
/* True where this server offers the service id. */
bool bt_host_offers(const struct bt_plugin_server *server, const char *id);
bool bt_host_knows(const char *id);
const char *bt_host_service_id(size_t i); /* the i-th of all; NULL after the last */
/* The entry behind a host pointer for a call that must come from the loop's thread; NULL (and logged) from another thread or
 * where the entry is gone. what: "timer.after". */
struct bt_plugin *bt_host_entry(const struct berth_host *host, const char *what);
/* The same for calls that make something new: NULL while the entry is stopping, too. */
struct bt_plugin *bt_host_entry_live(const struct berth_host *host, const char *what);

/* Reads a struct that came from a plug-in, which may have been built with an older (shorter) or newer (longer) header:
 * fields it does not have are zero. */
#define BT_TAKE(local, ptr)                                              \
  do {                                                                   \
    memset(&(local), 0, sizeof(local));                                  \
    memcpy(&(local), (ptr), BT_MIN((ptr)->size, sizeof(local)));         \
  } while (0)

/* ---------------------------------------------------------------- handles (resource.c) */

struct bt_resource_kind {
  const char *name; /* "timer" */
  /* The entry stops: give the plug-in its last callback where one is owed and it still has a state (entry->self), and take the
   * thing down. The resource is already unlinked; it is freed by detach or, later, by its own end. */
  void (*detach)(struct bt_resource *resource, struct bt_plugin *entry);
};

/* What a handle stands for; the first member of every service's struct. */
struct bt_resource {
  const struct bt_resource_kind *kind;
  struct bt_plugin *entry; /* NULL once detached */
  berth_handle id;
  struct bt_resource *prev, *next;
};
void bt_resource_add(struct bt_plugin *entry, struct bt_resource *resource, const struct bt_resource_kind *kind);
void bt_resource_del(struct bt_resource *resource); /* unlinks; the caller frees. Detached ones are fine */
/* The entry's resource of that kind, or NULL: gone, another's, another kind. */
struct bt_resource *bt_resource_get(struct bt_plugin *entry, berth_handle id, const struct bt_resource_kind *kind);
void bt_resources_detach(struct bt_plugin *entry);

/* ---------------------------------------------------------------- services/ */

extern const struct berth_host_ops bt_service_ops;
extern const struct berth_host_log bt_service_log;
extern const struct berth_host_timer bt_service_timer;
extern const struct berth_host_fd bt_service_fd;
extern const struct berth_host_worker bt_service_worker;
extern const struct berth_host_child bt_service_child;
extern const struct berth_host_http bt_service_http;
extern const struct berth_host_kv bt_service_kv;
extern const struct berth_host_secret bt_service_secret;
extern const struct berth_host_metrics bt_service_metrics;
extern const struct berth_host_events bt_service_events;
extern const struct berth_host_routes bt_service_routes;
extern const struct berth_host_query bt_service_query;

void bt_metrics_free(struct bt_metrics **metrics);

#endif
