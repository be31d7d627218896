/* A service as Berth understands it: the canonical Compose service (what `docker compose config --format json` prints) read once
 * into typed fields with their defaults, for the decisions in core/plan and the controllers. What only a runtime needs (command,
 * environment, capabilities, …) stays in the JSON. Pure; knows nothing of nodes or instances. */
#ifndef BT_MODEL_SERVICE_H
#define BT_MODEL_SERVICE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "model/autoscale.h"
#include "model/device.h"
#include "model/disruption.h"
#include "model/job.h"
#include "model/placement.h"
#include "model/route.h"
#include "model/way.h"

enum { BT_REPLICAS_MOST = 100000 }; /* of a service */

enum bt_mode { BT_MODE_REPLICATED, BT_MODE_GLOBAL, BT_MODE_REPLICATED_JOB, BT_MODE_GLOBAL_JOB };
enum bt_order { BT_STOP_FIRST, BT_START_FIRST };
enum bt_on_failure { BT_FAIL_PAUSE, BT_FAIL_CONTINUE, BT_FAIL_ROLLBACK };
enum bt_condition { BT_DEP_STARTED, BT_DEP_HEALTHY, BT_DEP_COMPLETED };

/* deploy.update_config and rollback_config. */
struct bt_update {
  int parallelism; /* 0: all at once */
  int64_t delay_ms, monitor_ms;
  double max_failure_ratio;
  enum bt_on_failure on_failure;
  enum bt_order order;
};

/* How a container that ended is started again. */
struct bt_restart {
  const char *condition; /* a literal: "none", "on-failure", "any" */
  int64_t delay_ms, window_ms;
  int max_attempts; /* 0: no limit */
};

struct bt_depend {
  char *service;
  enum bt_condition condition;
  bool required, restart;
};

struct bt_port {
  int target;
  int published, published_end; /* 0: any; end > published: one of a range */
  char *host_ip;                /* NULL: all */
  char *protocol;
  bool ingress; /* through Berth's proxy; otherwise the engine publishes it */
};

/* A secret or config in use. */
struct bt_grant {
  char *source;
  const json_t *json; /* the canonical mount: target, uid, gid, mode; borrowed from the service */
};

struct bt_volume_use {
  char *type;   /* volume, bind, tmpfs, … */
  char *source; /* key of the model's volumes for "volume" (NULL: anonymous); path of a bind */
  const json_t *json;
};

struct bt_net_use {
  char *network;
  const json_t *json; /* aliases, addresses; may be JSON null */
};

struct bt_volumes_from {
  char *service;
  char *mode; /* "rw", "ro" */
};

/* Limits of one instance; 0: none. */
struct bt_resources {
  double cpus;
  int64_t memory;
  int64_t pids;
  int64_t disk; /* of reservations only */
};

struct bt_service {
  char *name;
  json_t *json; /* the canonical service; owned reference, never changed */
  char *image;  /* as written; NULL where only built */
  char *platform, *pull_policy, *container_name;
  json_t *build; /* borrowed from json; NULL: none */
  enum bt_mode mode;
  int replicas;       /* instances, or completions of a job */
  int max_concurrent; /* of a job */
  int backoff_limit;  /* attempts of one completion after the first */
  struct bt_job job;  /* when it runs */
  struct bt_update update, rollback;
  struct bt_way way;  /* x-berth.rollout */
  struct bt_restart restart;
  const char *auto_update;  /* x-berth.update: "digest" or a range of versions, borrowed from json; NULL: none */
  int64_t auto_update_ms;   /* how often to look */
  int64_t stop_grace_ms;
  int64_t deadline_ms; /* from its assignment until an instance must be ready */
  bool healthcheck, readiness; /* the engine checks its health; it has a readiness or startup probe */
  struct bt_resources reserved, limits;
  char *network_mode; /* "none", "host", "bridge"; NULL: networks or another's */
  char *co_network, *co_pid, *co_ipc; /* services whose namespaces it shares */
  BT_VEC(struct bt_depend) depends;
  BT_VEC(struct bt_port) ports;
  BT_VEC(struct bt_grant) secrets;
  BT_VEC(struct bt_grant) build_secrets; /* of the build: their target is the id that the Dockerfile asks for */
  BT_VEC(struct bt_grant) configs;
  BT_VEC(struct bt_volume_use) volumes;
  BT_VEC(struct bt_net_use) networks;
  BT_VEC(struct bt_volumes_from) volumes_from;
  struct bt_routes routes;    /* x-berth.routes */
  struct bt_devices devices;  /* deploy.resources.reservations.devices and generic_resources, gpus */
  struct bt_strs constraints; /* deploy.placement.constraints */
  struct bt_disruption disruption; /* x-berth.disruption */
  struct bt_placement placement; /* x-berth.placement, deploy.placement.preferences */
  struct bt_autoscale *autoscale; /* x-berth.autoscale; NULL: none */
  int max_per_node;           /* deploy.placement.max_replicas_per_node; 0: any number */
};

/* Reads one canonical service. The JSON is kept by reference and must not change. 0, or -1 with BT_INVALID and a sentence that
 * names the service and the attribute. */
int bt_service_parse(const char *name, json_t *json, struct bt_service **out, struct bt_err **err) BT_CHECK;
void bt_service_free(struct bt_service **service);

/* What a canonical service reserves and where its limits are. */
void bt_service_resources(const json_t *service, struct bt_resources *reserved, struct bt_resources *limits);
bool bt_service_is_job(const struct bt_service *service);
/* How many instances it is to have at least: the file's number; of one that scales by itself its min. */
int bt_service_least(const struct bt_service *service);
/* What an instance counts for: what it reserves, or else its limit; 0 where it says neither. Cores, bytes. */
double bt_service_cpus(const struct bt_service *service);
int64_t bt_service_memory(const struct bt_service *service);
/* Why old and new instances of it cannot run side by side (a fixed container name, a port that the engine publishes, a fixed
 * address), or NULL: then start-first means stop-first. A literal. */
const char *bt_service_exclusive(const struct bt_service *service);
/* The dependency on "service", or NULL. */
const struct bt_depend *bt_service_depend(const struct bt_service *service, const char *on);
/* A duration of canonical JSON in milliseconds ("1m30s", or a number of seconds); "or" where absent or none. */
int64_t bt_service_duration_ms(const json_t *obj, const char *key, int64_t or);
const char *bt_mode_name(enum bt_mode mode);
const char *bt_condition_name(enum bt_condition condition); /* "service_started", … */

#endif
