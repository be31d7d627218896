/* What is known of containers and volumes: in memory as tables, on disk one folder each. Knows nothing of operations and processes.
 *
 * A container's folder ROOT/containers/ID holds container.json (what create was asked for; never written again, but by update) and
 * state.json (how far it came: written at its start and at its end). Both are replaced as a whole by rename. Neither is synced: a
 * container that a power cut takes away is made anew by whoever wanted it, and one fsync each would cost more than the start. Records of
 * volumes are synced, since people's data hang on them.
 *
 * A container costs about 3 KiB of memory here (measured, with two networks and five labels): the create spec stays on disk and is read
 * again where it is needed. */
#ifndef RO_RECORD_H
#define RO_RECORD_H

#include <berth/host.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { RO_ID = 64 }; /* hex digits */

enum ro_state { RO_CREATED, RO_RUNNING, RO_PAUSED, RO_EXITED };
enum ro_health { RO_NO_HEALTH, RO_STARTING, RO_HEALTHY, RO_UNHEALTHY };

struct ro_op;
struct ro_check; /* a health check under way (health.c) */

struct ro_container {
  char id[RO_ID + 1];
  char *name;
  char *image;            /* as given */
  char *image_id;
  json_t *labels;         /* object of strings */
  json_t *volumes;        /* array of names of volumes that it mounts */
  json_t *anonymous;      /* array of those that were made for it */
  json_t *wants;          /* spec's networks: [{"name", "aliases", …}] */
  char *network_mode;     /* NULL: wants */
  json_t *peers;          /* array of the containers that its spec names, as it names them */
  json_t *networks;       /* of inspect, while it runs: {"name": {"ip","ip6","mac","aliases"}} */
  json_t *ports;          /* of inspect, while it runs; NULL: none */
  json_t *healthcheck;    /* NULL: none. {"test": […], "interval_ms", "timeout_ms", "start_period_ms", "start_interval_ms", "retries"} */
  json_t *resources;      /* {"cpus","memory","memory_reservation","pids"}, 0: no limit */
  char *stop_signal;      /* "SIGTERM" */
  int64_t stop_grace_ms;
  bool tty;
  int64_t created_ms;     /* wall clock, as all here */
  /* ---- state.json ---- */
  enum ro_state state;
  int64_t started_ms, finished_ms; /* 0: never */
  int exit_code;
  bool oom;
  char *error;            /* why the last start failed; NULL */
  /* ---- of this process alone ---- */
  pid_t pid, monitor;     /* 0: it does not run */
  int init;               /* pidfd of pid, -1 */
  int pidfd;              /* of the monitor, -1 */
  berth_handle watch;
  bool held;              /* an operation has its turn */
  bool making, removing; /* an operation makes or removes it: nobody else sees it */
  enum ro_health health;
  char *health_output;    /* what the last check printed, at most 1 KiB */
  struct ro_check *check;
  struct ro_op *watcher;  /* whose the watch is; NULL */
};

/* Tables by id and by name. Zero-initialise. */
struct ro_table {
  struct ro_slot *slots;  /* by id and by name: each container stands here twice */
  size_t cap, used;
  struct ro_container **items; /* in the order of creation */
  size_t len, room;
  json_t *volumes;        /* {name: {"driver","driver_opts","labels","created_ms"}} */
};

struct ro_container *ro_container_new(const char *id);
void ro_container_free(struct ro_container *c); /* closes descriptors; watches are the caller's */

/* Takes c. False where its id or name is taken. */
bool ro_table_add(struct ro_table *t, struct ro_container *c);
/* Takes it out and frees it. */
void ro_table_drop(struct ro_table *t, struct ro_container *c);
struct ro_container *ro_table_by_id(const struct ro_table *t, const char *id);
/* By id, by name, or by the beginning of an id (at least 12 digits, and only one has it). NULL: none. */
struct ro_container *ro_table_find(const struct ro_table *t, const char *id_or_name);
void ro_table_free(struct ro_table *t);

/* "key=value" or "key" is among labels; NULL matches all. */
bool ro_label_matches(const json_t *labels, const char *label);

/* "created", "running", … */
const char *ro_state_word(enum ro_state state);
const char *ro_health_word(enum ro_health health);

/* ---- on disk; each may block, any thread ---- */

/* container.json: {"id","name","image","image_id","created_ms","labels","volumes","anonymous","healthcheck","stop_signal",
 * "stop_grace_ms","tty","spec"}. */
json_t *ro_container_json(const struct ro_container *c); /* without "spec" */
/* NULL where it is none. */
struct ro_container *ro_container_read(const json_t *record);

struct ro_stamp { /* state.json, copied so that a worker may write it */
  enum ro_state state;
  int64_t started_ms, finished_ms;
  int exit_code;
  bool oom;
  char error[512];
};
struct ro_stamp ro_stamp_of(const struct ro_container *c);
bool ro_stamp_write(const char *dir, const struct ro_stamp *stamp, char **why);
void ro_stamp_read(const char *dir, struct ro_container *c);

#endif
