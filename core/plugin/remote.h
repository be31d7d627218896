/* A plug-in entry in a process of its own, seen from the server: the process, the conversation with it, its end. remote.c has the
 * life, remote_calls.c the calls of methods, remote_services.c what the plug-in asks for. Whatever the process does, the entry
 * hears of it once: bt_entry_hello, _started, _reloaded or _lost (internal.h). */
#ifndef BT_PLUGIN_REMOTE_H
#define BT_PLUGIN_REMOTE_H

#include "base/vec.h"
#include "plugin/confine.h"
#include "plugin/internal.h"
#include "plugin/manifest.h"
#include "plugin/spawn.h"
#include "plugin/wire.h"

struct bt_timer;
struct bt_watch;

enum bt_remote_state {
  BT_REMOTE_HELLO,    /* waits for the manifest */
  BT_REMOTE_READY,    /* waits for the configuration */
  BT_REMOTE_STARTING, /* waits for the end of start() */
  BT_REMOTE_RUNNING,
  BT_REMOTE_STOPPING  /* was told to stop; it is on the registry's list of those that leave */
};

struct bt_remote_handle;

/* What the conversation stands on: the server's services, or those of a checker, called with the entry's host. */
struct bt_remote_services {
  const struct berth_host_http *http;
  const struct berth_host_kv *kv;
  const struct berth_host_secret *secret;
  const struct berth_host_metrics *metrics;
  const struct berth_host_events *events;
  const struct berth_host_routes *routes;
  const struct berth_host_query *query;
  /* As those of ops.h. */
  void (*finish)(const struct berth_host *host, berth_op op, enum bt_code code, const char *message, const char *result, size_t len);
  size_t (*emit)(const struct berth_host *host, berth_op op, int channel, const void *data, size_t len);
  void (*reply)(const struct berth_host *host, berth_op op, int status, const struct berth_pair *headers, size_t nheaders,
                const void *body, size_t len);
  bool (*offers)(const struct berth_host *host, const char *id);
};

/* What went into an op as input and has not been taken over there. */
struct bt_remote_input {
  berth_op op;
  size_t sent, waiting;
};

struct bt_remote {
  struct bt_plugins *plugins;
  struct bt_plugin *entry; /* NULL once the entry is gone; nothing but remote.c looks at it */
  const struct berth_host *host; /* NULL with the entry */
  const struct bt_remote_services *services;
  enum bt_remote_state state;
  struct bt_process process;
  struct bt_confinement confinement; /* from its hello on */
  struct bt_link *link; /* NULL once it ended */
  struct bt_watch *exit_watch, *err_watch;
  struct bt_timer *timer; /* for hello, start and stop; then for the process' end */
  struct bt_timer *ping;
  bool pinged;            /* and not answered yet */
  int64_t pinged_ms;
  bool can_reload;
  int64_t last_id;        /* of our own questions */
  int64_t config_id;      /* of the start or reload that is under way; 0 none */
  json_t *config;         /* of that one */
  char *why;              /* of its end, where we know better than its exit status does */
  bool exited, ended;     /* the process; the link */
  int status;
  BT_VEC(struct bt_remote_handle *) handles; /* what the plug-in opened */
  size_t bodies;          /* bytes of bodies that wait here for requests of its own, and that it may yet be answered with */
  struct bt_map *asked;   /* answers of methods that are asked: text -> yes or no */
  BT_VEC(struct bt_remote_input) inputs; /* what op's input waits over there */
  struct bt_buf err_line; /* of its standard error, until the end of the line */
  struct bt_remote *next; /* of those that leave */
};

/* Starts the process for the entry; what it runs is in the entry's isolation. NULL with a sentence. */
struct bt_remote *bt_remote_new(struct bt_plugin *entry, struct bt_err **err);
/* Hands the configuration over: start() where it has not run, else reload(). config is kept by reference. */
void bt_remote_configure(struct bt_remote *remote, json_t *config);
/* Asks it to end, kills it where it does not within 3 s; clears the pointer. The entry may start another one at once. */
void bt_remote_stop(struct bt_remote **remote);
/* Waits for those that leave, a second at most, and frees them: for the end of the registry. */
void bt_remotes_finish(struct bt_plugins *plugins);
/* The entry is about to be freed: those that leave no longer speak for it. */
void bt_remotes_forget(struct bt_plugin *entry);

/* ---------------------------------------------------------------- calls (remote_calls.c) */

/* Puts functions into the manifest's tables that send the call to the process of the berth_instance they get. */
void bt_remote_tables(struct bt_manifest *manifest);
void bt_remote_cancel(struct bt_remote *remote, berth_op op);
/* finish, emit, taken, respond. False where the type is another one. */
bool bt_remote_call_message(struct bt_remote *remote, const struct bt_message *m);

/* ---------------------------------------------------------------- services (remote_services.c, remote_http.c) */

/* What the plug-in opened over there, and we here for it. A callback of a service may come when the process is gone: then remote is
 * NULL, and the last callback frees the handle. */
struct bt_remote_handle {
  struct bt_remote *remote;
  berth_handle id;   /* the plug-in's number of it */
  berth_handle here; /* the service's number of it; 0 none */
  const struct bt_remote_kind *kind;
};
struct bt_remote_kind {
  const char *name;
  /* The process is gone: takes the thing down here, with the services of the remote it was of. It is off the list and its remote is
   * NULL. */
  void (*close)(struct bt_remote_handle *handle, struct bt_remote *of);
};
enum { BT_REMOTE_MAX_HANDLES = 2000 };

/* A zeroed block of that size that begins with a handle; NULL where there are too many. */
void *bt_remote_handle_new(struct bt_remote *remote, berth_handle id, const struct bt_remote_kind *kind, size_t size);
void *bt_remote_handle_get(struct bt_remote *remote, berth_handle id, const struct bt_remote_kind *kind);
void bt_remote_handle_off(struct bt_remote_handle *handle); /* takes it off the list; the caller frees */
void bt_remote_handles_free(struct bt_remote *remote);

/* A message to the process: an object with "t" and "id" (left out where 0). */
json_t *bt_remote_message(const char *type, berth_handle id);
size_t bt_remote_send(struct bt_remote *remote, json_t *head_steal, const void *bytes, size_t len);

bool bt_remote_service_message(struct bt_remote *remote, const struct bt_message *m);
bool bt_remote_http_message(struct bt_remote *remote, const struct bt_message *m);

#endif
