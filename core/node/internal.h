/* Inside the node agent: what its parts share. Not for other rooms. */
#ifndef BT_NODE_INTERNAL_H
#define BT_NODE_INTERNAL_H

#include <berth/runtime.h>
#include <jansson.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "node/agent.h"
#include "node/stream.h"
#include "plugin/plugin.h"

/* What an instance is doing, as reports name it. */
enum bt_inst_state {
  BT_INST_PENDING,
  BT_INST_PULLING,
  BT_INST_CREATING,
  BT_INST_STARTING,
  BT_INST_RUNNING,
  BT_INST_STOPPING,
  BT_INST_EXITED,
  BT_INST_FAILED,
  BT_INST_REMOVED
};

enum bt_health { BT_HEALTH_NONE, BT_HEALTH_STARTING, BT_HEALTH_HEALTHY, BT_HEALTH_UNHEALTHY };

/* What the runtime was told last of an instance's container; a fresh one is on. */
enum bt_names { BT_NAMES_UNKNOWN, BT_NAMES_ON, BT_NAMES_OFF };

struct bt_probes;

/* One instance on this node. Cost while it runs: about 800 bytes, its timers and what it needs of its assignment as compact text included; the
 * class is shared with its siblings. */
struct bt_inst {
  struct bt_agent *agent;
  char *id;
  char *text;              /* what is read again of the assignment, as compact JSON */
  json_t *doc;             /* the same, parsed while it is worked on; see bt_inst_doc */
  json_t *klass;           /* shared */
  char *container_id;
  char *made;              /* hash of the class that its container is of; NULL: none is made or found yet */
  char *asked;             /* the one that its limits are being changed to, or were to be */
  char *refused;           /* why they could not be; NULL */
  char *image_id;
  struct bt_image *image;  /* that was asked for last; NULL: none yet */
  char *ip;                /* of its first network; for probes and the proxy */
  json_t *ports;           /* as the engine published them; NULL where none */
  char *error;             /* the last failure as a sentence; NULL */
  enum bt_inst_state state;
  enum bt_health health;
  unsigned want_gone : 1;     /* stop, remove, forget */
  unsigned want_restart : 1;  /* stop and start in place */
  unsigned running : 1;       /* the container runs, as far as we know */
  unsigned started_once : 1;  /* it has been running under this agent's or an earlier agent's eyes */
  unsigned busy : 1;          /* an operation is in flight: its end steps again */
  unsigned holds_slot : 1;
  unsigned queued : 1;        /* waits for a slot */
  unsigned finished : 1;      /* the restart policy is through with it */
  unsigned died_busy : 1;     /* a "die" event came while an operation was in flight */
  unsigned oom : 1;
  unsigned ready : 1;
  unsigned lasting : 1;       /* what failed last fails again until a person does something */
  unsigned startup_ok : 1, readiness_ok : 1; /* probes */
  unsigned names : 2;         /* enum bt_names */
  int exit_code;
  int restarts;               /* starts after the first, for the report */
  int failures;               /* consecutive, for the backoff */
  int64_t next_start_ms;      /* monotonic; 0: now */
  int64_t next_start_wall_ms; /* the same as it was told: the wall clock may be set meanwhile */
  int64_t started_ms, finished_ms;
  berth_op op;                /* in flight, for cancel */
  struct bt_timer *timer;     /* next start, or a retry; made when first needed */
  struct bt_timer *good;      /* resets the failures once it has been ready long enough */
  struct bt_probes *probes;   /* while it runs, where the class has some */
  uint64_t last_report;       /* its fingerprint */
  berth_op look;              /* asks the engine what its health check said */
};

/* A network or volume that instances need on the engine. */
struct bt_resource {
  struct bt_agent *agent;
  bool volume;
  char *name;
  json_t *spec, *labels;
  enum { BT_RES_UNKNOWN, BT_RES_BUSY, BT_RES_READY, BT_RES_FAILED, BT_RES_DROPPING } state;
  bool drop;               /* to be removed */
  bool lasting;            /* its error does not go away by trying again */
  char *error;
  char *mountpoint;        /* of volumes */
  json_t *doomed;          /* while networks are dropped: the ids of those that are ours */
  struct bt_timer *retry;
};

/* An image that instances wait for or were made of. Goes with the last of them. */
struct bt_image {
  struct bt_agent *agent;
  unsigned users;
  char *name;              /* what the assignment runs: a digest, an id, which are of one platform */
  char *tag;               /* as first asked for; NULL: the user named a digest, or an id */
  char *platform;          /* as first asked for; NULL: the machine's */
  char *id;                /* on the engine once present */
  char *error;
  enum { BT_IMG_UNKNOWN, BT_IMG_BUSY, BT_IMG_PRESENT, BT_IMG_FAILED } state;
  int64_t failed_ms;       /* monotonic */
};

struct bt_agent {
  struct bt_agent_options o;
  char *node_name, *server_id, *run_dir, *portd;
  json_t *labels, *devices, *resources; /* by the configuration; the last two may be NULL */
  struct bt_map *instances;  /* id -> struct bt_inst */
  struct bt_map *by_container; /* container id -> struct bt_inst (borrowed) */
  struct bt_map *networks, *volumes; /* name -> struct bt_resource */
  struct bt_map *images;     /* name -> struct bt_image */
  json_t *info;              /* of the runtime */
  bool connected;            /* the engine answers and the event stream stands */
  bool synced;               /* a sync came since the last hello */
  bool stopping;
  struct bt_plugin *events_entry;
  int slots;                 /* in use */
  BT_VEC(struct bt_inst *) queue;
  struct bt_timer *reconnect;
  struct bt_timer *collect;  /* the next look through the images */
  bool collecting;           /* one is under way */
  bool collect_again;        /* images came meanwhile */
  struct bt_timer *ports_timer;
  struct bt_ports *ports;
  struct bt_map *streams;    /* handle (decimal) -> struct bt_stream */
  uint64_t next_stream;
};

/* ---- capacity.c ---- */
void bt_capacity_add(const struct bt_agent *agent, json_t *node); /* how much the node has, for hello */

/* ---- agent.c ---- */
struct bt_plugin *bt_agent_runtime(struct bt_agent *agent); /* NULL where no runtime plug-in runs */
/* Starts a runtime method; the macro hides entry and table. call is a struct bt_plugin_call, which gets the agent as its owner.
 * Gives the op. */
#define bt_agent_call(agent, method, call, ...)                                                             \
  ({                                                                                                        \
    struct bt_plugin_call *ac_call_ = (call);                                                               \
    ac_call_->owner = (agent);                                                                              \
    struct bt_plugin *ac_entry_ = bt_agent_runtime(agent);                                                  \
    const struct berth_runtime *ac_rt_ = ac_entry_ ? bt_plugin_methods(ac_entry_, BERTH_RUNTIME) : NULL;    \
    bt_plugin_invoke(ac_entry_, ac_rt_, method, ac_call_ __VA_OPT__(, ) __VA_ARGS__);                       \
  })
void bt_agent_send(struct bt_agent *agent, json_t *message_steal); /* to nobody once the agent is being freed */
void bt_agent_step_all(struct bt_agent *agent);

/* ---- collect.c ---- */
void bt_images_collect(void *agent);             /* for the timer: asks the runtime, and sets the timer anew */
void bt_images_came(struct bt_agent *agent);     /* a pull, an import, a build: a look is due soon */

/* ---- slots (agent.c): at most o.concurrency engine operations that change something at once ---- */
bool bt_slot_take(struct bt_inst *in);     /* false: queued, bt_inst_step comes when it is its turn */
void bt_slot_release(struct bt_inst *in);

/* ---- instance.c, start.c, lifecycle.c ---- */
struct bt_inst *bt_inst_new(struct bt_agent *agent, const json_t *assignment);
void bt_inst_update(struct bt_inst *in, const json_t *assignment);
void bt_inst_free(struct bt_inst *in);
/* Of the assignment, borrowed until bt_inst_settle: container_name (absent: the id), image, slot, networks, co, volumes_from (the
 * last three absent where empty). The class is in->klass. */
const json_t *bt_inst_doc(struct bt_inst *in);
void bt_inst_settle(struct bt_inst *in); /* it runs: forget the parsed form */
/* "namespace", "app" or "service" of the instance, borrowed from its class; "" where absent. */
const char *bt_inst_of(const struct bt_inst *in, const char *what);
/* Compares what should be with what is and takes the next step. Safe to call at any time; may free in when it is gone. */
void bt_inst_step(struct bt_inst *in);
void bt_inst_inspect(struct bt_inst *in); /* asks the engine for its state, address, ports, health */
void bt_inst_set_container(struct bt_inst *in, const char *container_id);
void bt_inst_exited(struct bt_inst *in, int exit_code, bool oom);
void bt_inst_running(struct bt_inst *in, int64_t started_ms);
void bt_inst_health(struct bt_inst *in, const char *health);
void bt_inst_gone(struct bt_inst *in); /* its container was removed by somebody; may free in */
void bt_inst_restart(struct bt_inst *in);
void bt_inst_fail(struct bt_inst *in, const char *sentence, bool retry); /* a step failed */
void bt_inst_refresh_ready(struct bt_inst *in);
void bt_inst_names(struct bt_inst *in, bool ready); /* names that it shares with others lead to it, or no more (names.c) */
void bt_inst_names_at_start(struct bt_inst *in);    /* as it is at first: off where something is to be checked */
void bt_inst_retry_in(struct bt_inst *in, int64_t ms);
void bt_inst_plan_start(struct bt_inst *in, int64_t wait_ms); /* the next start, not before so long from now */
void bt_inst_unplan_start(struct bt_inst *in);                /* there is none to wait for */
void bt_inst_step_up(struct bt_inst *in);            /* start.c: towards running; nothing of it is in flight and its time has come */
void bt_inst_step_down(struct bt_inst *in);          /* lifecycle.c: towards gone */
void bt_inst_step_restart(struct bt_inst *in);       /* lifecycle.c: stop in place */

/* ---- resize.c: other limits while its container is there ---- */
bool bt_inst_resize_due(const struct bt_inst *in);
void bt_inst_resize(struct bt_inst *in); /* where that is due, and nothing is in flight */
/* Which class its container is of: by its label, or, where the engine tells its limits, by those. container: of the runtime's inspect or list. */
void bt_inst_made_of(struct bt_inst *in, const json_t *container);
void bt_inst_reassigned(struct bt_inst *in); /* its class is another one now */
void bt_inst_making(struct bt_inst *in); /* a container of its class is about to be made */

/* ---- report.c ---- */
json_t *bt_inst_report(const struct bt_inst *in);  /* new reference */
void bt_inst_tell(struct bt_inst *in);             /* sends a report where something changed */
void bt_inst_progress(struct bt_inst *in, const char *text, int64_t current, int64_t total);

/* The end of what a command printed, on one line, without control characters and at most 300 bytes; NULL where there is nothing.
 * The caller frees. */
char *bt_node_last_words(const char *text, size_t len);
/* Whether a call that ended so ends so again until a person changes something. */
bool bt_node_lasting(enum bt_code code);

/* ---- spec.c ---- */
/* spec_json of berth_runtime.create for the instance; NULL with an error where a part is missing. The caller frees. */
char *bt_inst_spec(struct bt_inst *in, const char *image_id, struct bt_err **err);

/* ---- content.c: secrets and configs as files on tmpfs ---- */
int bt_content_write(struct bt_inst *in, struct bt_err **err);        /* all files of the instance */
void bt_content_add_mounts(const struct bt_inst *in, json_t *mounts);
void bt_content_remove(struct bt_agent *agent, const char *instance);
void bt_content_sweep(struct bt_agent *agent); /* removes files of instances that are not ours any more; unmounts when empty */

/* ---- resources.c ---- */
void bt_resource_want(struct bt_agent *agent, bool volume, const json_t *message);
void bt_resource_drop(struct bt_agent *agent, bool volume, const char *name);
void bt_resource_free(void *resource);
/* 1 all are there; 0 not yet (a step comes when they are); -1 one failed: the sentence is in *why (borrowed). */
int bt_resources_ready(struct bt_inst *in, const char **why);
/* It could not start: looks whether its networks and volumes are still there, and makes anew what somebody removed. */
void bt_resources_doubt(struct bt_inst *in);
void bt_resources_recheck(struct bt_agent *agent); /* after the engine came back */
/* 1 present (*id borrowed); 0 on the way; -1 failed. */
int bt_image_ready(struct bt_inst *in, const char **id, const char **why);
void bt_image_forget(struct bt_agent *agent, const char *name);
void bt_image_release(struct bt_inst *in); /* it needs none any more */
void bt_image_free(void *image);

/* ---- probe.c ---- */
void bt_probes_start(struct bt_inst *in);
void bt_probes_stop(struct bt_inst *in);

/* What the engine's own health check says: of an event, where it is unhealthy after a look at what the check printed last; of
 * an inspection, which has both. */
void bt_health_event(struct bt_inst *in, const char *health);
void bt_health_observe(struct bt_inst *in, const json_t *container);
void bt_health_forget(struct bt_inst *in); /* ends the look that is under way, if any */

/* ---- hooks.c: runs the commands one after the other in the container, then done (ok false with the sentence) ---- */
void bt_hooks_run(struct bt_inst *in, const char *which, void (*done)(struct bt_inst *in, const char *error));

/* ---- ports.c: the table of the port proxy ---- */
struct bt_ports *bt_ports_new(struct bt_agent *agent);
void bt_ports_free(struct bt_ports **ports);
void bt_ports_changed(struct bt_agent *agent); /* soon: collects ready instances' backends and sends the table */
const char *bt_ports_error(struct bt_agent *agent, const struct bt_inst *in); /* why its port cannot be served; NULL */
bool bt_ports_lasting(struct bt_agent *agent, const struct bt_inst *in); /* and whether that has lasted, over a second try */

#endif
