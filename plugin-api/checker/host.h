/* A strict host. It offers every service of berth/host.h as the server does, and besides notices what a server has to bear in
 * silence: handles that were never given out, calls after stop(), from a wrong thread, structs without a size, a second finish,
 * results that are no JSON, secrets in texts, callbacks that hold the loop. Each is a check_fail that names the function.
 *
 * Its other side is scripted (struct check_world): HTTP is answered by play.c whatever the URL is, key-value, secrets, events,
 * queries and metrics come out of memory; so no test leaves the process but by sockets or children of the plug-in's own.
 *
 * One thread, but for what berth/host.h calls "any thread". Hosts are never freed: a thread of a plug-in may hold one. */
#ifndef CHECK_HOST_H
#define CHECK_HOST_H

#include <berth/host.h>
#include <berth/plugin.h>
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/map.h"
#include "base/vec.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "plugin/describe.h"

/* ---------------------------------------------------------------- the other side */

/* How HTTP answers; see play.c. */
enum check_play {
  CHECK_GOOD,      /* the script, where one is given; else 200 and {} */
  CHECK_ERROR,     /* 500 */
  CHECK_REFUSED,   /* 401 with a challenge */
  CHECK_GARBAGE,   /* 200 and bytes that are nothing */
  CHECK_WRONG,     /* 200 and JSON of another shape */
  CHECK_TRUNCATED, /* half a body, then the connection ends */
  CHECK_DRIP,      /* a byte at a time */
  CHECK_HUGE,      /* a body that does not end by itself */
  CHECK_REDIRECT,  /* to itself, for ever */
  CHECK_RESET,     /* the connection ends at once */
  CHECK_HANG,      /* nothing, until the request is cancelled */
  CHECK_PLAYS
};
const char *check_play_name(enum check_play play);
const char *check_play_doc(enum check_play play);

/* What the host's other side does. Changed at any time by the test. */
struct check_world {
  enum check_play play;
  json_t *script;             /* of --http-script: [{"method","path","status","headers","body"|"json","always"}]; NULL: none */
  enum berth_code kv_code;    /* of every put; 0: it is kept */
  enum berth_code secret_code;
  enum berth_code query_code; /* of queries and of metrics.collect */
  const char *query_json;     /* what queries answer; NULL: {"items": []} */
  bool later;                 /* callbacks that may come from inside come from the next turn */
  size_t samples;             /* of metrics.collect; 0: three */
  struct bt_map *kv;          /* key -> struct check_value; outlives hosts, as a store would */
  size_t requests, puts, gets, queries; /* that came: of HTTP, kv.put, secret.get, query.get and metrics.collect */
  struct bt_strs secrets;     /* values that must not stand in a text */
};
extern struct check_world check_world;

struct check_value {
  size_t len;
  char bytes[];
};

/* ---------------------------------------------------------------- operations */

struct check_op {
  berth_op id;
  const char *label;              /* "chat.send"; borrowed for ever */
  const struct bt_method *method; /* NULL: a route's reply */
  bool finished;                  /* by the plug-in */
  bool closed;                    /* by the host: cancelled, or the entry stops; a later finish is fine once */
  int status;                     /* of a reply */
  enum berth_code code;
  char *message;
  json_t *result;
  size_t pieces, bytes; /* emitted */
};

/* ---------------------------------------------------------------- handles */

enum check_kind { CHECK_TIMER = 1, CHECK_FD, CHECK_CHILD, CHECK_REQUEST, CHECK_UPGRADE, CHECK_SUBSCRIPTION, CHECK_ROUTE, CHECK_WAIT };

struct check_host;

/* The first member of what stands behind a handle. detach: the entry stops; the last callback, where one is owed, and the end. */
struct check_handle {
  enum check_kind kind;
  berth_handle id;
  struct check_host *host;
  void (*detach)(struct check_handle *handle);
};

struct check_host {
  struct berth_host host; /* first */
  struct bt_loop *loop;
  const struct berth_plugin *plugin;
  struct berth_instance *self;
  enum { CHECK_STARTING, CHECK_RUNNING, CHECK_ENDING, CHECK_STOPPED } state;
  pthread_t thread;
  BT_VEC(struct check_handle *) handles; /* by id; NULL: over */
  BT_VEC(unsigned char) kinds;           /* by id, for ever */
  size_t open;                           /* handles that are not over */
  BT_VEC(struct check_op *) ops;         /* by id */
  pthread_mutex_t lock;                  /* of ops, which any thread may finish */
  size_t workers;                        /* jobs whose done has not come */
  struct bt_pool *pool;
};

/* Stopped as the server stops it where it still runs. */
struct check_host *check_host_new(struct bt_loop *loop, const struct berth_plugin *plugin);
/* Starts the entry: the plug-in's code, with *why checked. */
enum berth_code check_host_start(struct check_host *host, const char *config_json, const char **why);
enum berth_code check_host_reload(struct check_host *host, const char *config_json, const char **why);
/* In the server's order: operations end, handles get their last callbacks, stop(). */
void check_host_stop(struct check_host *host);

/* Brackets around every step into the plug-in's code; what says which, for sentences. Nest. */
void check_enter(const char *what);
void check_leave(void);
/* The same for the other way: a service of the host was called. Returns what check_return wants. */
bool check_called(void);
void check_return(bool before);
#define CHECK_SERVICE __attribute__((cleanup(check_returnp), unused)) bool check_before_ = check_called()
static inline void check_returnp(const bool *before) { check_return(*before); }

/* How long this thread stood ready to run and had no processor: on a busy machine that is no fault of the plug-in's. */
int64_t check_unscheduled_us(void);
/* What the plug-in called took the host so many microseconds of its own: they do not count as held by the plug-in. */
void check_excuse(int64_t us);

/* Turns the loop for ms, or until done(arg) (which may be NULL) says so; true where it did. */
bool check_turn(struct bt_loop *loop, int ms, bool (*done)(void *arg), void *arg);

/* A new operation for the method, or (method NULL) for a reply of a route. */
struct check_op *check_op_new(struct check_host *host, const char *label, const struct bt_method *method);
struct check_op *check_op_of(struct check_host *host, berth_op id); /* NULL: never given out */
/* As the server at a deadline or when its caller gives up. */
void check_op_cancel(struct check_host *host, struct check_op *op);
bool check_ops_over(struct check_host *host); /* none is open */

/* ---------------------------------------------------------------- for the services */

/* From the loop's thread, and not after stop()? Fails, naming the function, and is NULL where not. */
struct check_host *check_host_for(const struct berth_host *host, const char *what);
void check_handle_add(struct check_host *host, struct check_handle *handle, enum check_kind kind,
                      void (*detach)(struct check_handle *handle));
void check_handle_over(struct check_handle *handle); /* the caller frees */
/* NULL: over, or 0; fails where it was never given out as that kind. */
struct check_handle *check_handle_of(struct check_host *host, berth_handle id, enum check_kind kind, const char *what);
/* Text that crosses: UTF-8, not NULL, and without secrets. False (and failed) where not. */
bool check_text(const char *text, const char *what);
/* A struct of the plug-in's says how large it is: at least as large as at first, and not absurd. */
bool check_size(size_t size, size_t least, const char *what);
#define CHECK_THROUGH(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
/* A copy; members that the plug-in does not know are zero. */
#define CHECK_TAKE(local, ptr)                                                    \
  do {                                                                            \
    memset(&(local), 0, sizeof(local));                                           \
    memcpy(&(local), (ptr), (ptr)->size < sizeof(local) ? (ptr)->size : sizeof(local)); \
  } while (0)

const char *check_service_id(size_t i); /* of the i-th service; NULL after the last */
extern const struct berth_host_ops check_service_ops;
extern const struct berth_host_log check_service_log;
extern const struct berth_host_timer check_service_timer;
extern const struct berth_host_fd check_service_fd;
extern const struct berth_host_worker check_service_worker;
extern const struct berth_host_child check_service_child;
extern const struct berth_host_http check_service_http;
extern const struct berth_host_kv check_service_kv;
extern const struct berth_host_secret check_service_secret;
extern const struct berth_host_metrics check_service_metrics;
extern const struct berth_host_events check_service_events;
extern const struct berth_host_routes check_service_routes;
extern const struct berth_host_query check_service_query;

/* ---------------------------------------------------------------- what a test does to a running entry */

/* Hands n events to every subscription, as fast as they are taken; hostile: with odd contents. */
void check_events_flood(struct check_host *host, size_t n, bool hostile);
/* Calls every route that the plug-in added; returns how many. The replies are operations. */
size_t check_routes_call(struct check_host *host, const struct berth_route_request *request);
size_t check_routes_count(const struct check_host *host);

#endif
