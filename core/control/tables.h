/* Between the modules of core/control only: the tables in memory.
 *
 * Who owns what: bt_control owns apps, nodes and the namespaces' resources; an app owns its revisions and services; a service
 * owns its instances. An instance points to the spec (of some revision) that it was made of and keeps that revision loaded.
 * Everything that must be stored is marked with ctl_touch_*; the end of the step writes all marked objects as one batch. */
#ifndef BT_CONTROL_TABLES_H
#define BT_CONTROL_TABLES_H

#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"
#include "base/vec.h"
#include "control/control.h"
#include "control/inst.h"
#include "model/pool.h"
#include "model/quota.h"
#include "model/scheduling.h"
#include "model/service.h"
#include "model/status.h"
#include "plan/deps.h"
#include "plan/fleet.h"
#include "plan/lost.h"
#include "plan/quota.h"
#include "plan/rollout.h"

#define CTL_ID_LEN 63
/* So many things of a kind are looked through one by one; for more a map is kept. */
#define CTL_FEW 16

/* ---- revisions ---- */

/* A service of a revision: what its instances are made of. */
struct ctl_spec {
  struct ctl_rev *rev;
  struct bt_service *service;
  char *image;   /* as written, or app-service of a build */
  char *pinned, *digest, *source; /* NULL until resolved; source: local, registry, kept, build */
  char *pull;    /* of an assignment */
  char *hash;    /* NULL until resolved */
  char *frame;   /* ctl_hash_frame; NULL: not asked for yet */
  json_t *cls;   /* the class of messages.md; built when first needed */
  json_t *common; /* of its instances' assignments; built when first needed: assignment.c */
  int64_t resolved_ms;
  struct ctl_spec *alike; /* the next one of the same image and platform, in a ring */
  bool speaker;           /* of those: the one that asks for the image */
  uint32_t shape;         /* in the fleet; BT_FLEET_NONE: not asked for a place yet */
  uint32_t group;         /* that of all that live with it, too: group.c; BT_FLEET_NONE */
  bool group_known, leads; /* leads: some live with it */
  struct ctl_kept *kept;  /* places that are kept for instances of it: group.c */
  bool recurs;            /* a job with a schedule, or one that follows such a job: see runs.c */
};

/* What other services of a revision say about one. */
struct ctl_named {
  struct bt_strs aliases;         /* that their links give it */
  BT_VEC(struct ctl_spec *) after; /* depend on it with restart: true */
};

enum ctl_rev_state { CTL_REV_RESOLVING, CTL_REV_ROLLING, CTL_REV_DEPLOYED, CTL_REV_FAILED, CTL_REV_SUPERSEDED };

struct ctl_rev {
  struct ctl_app *app;
  int number;
  enum ctl_rev_state state;
  char *actor, *message, *reason, *source;
  char *build;        /* "missing", "always", "never": of the apply */
  int64_t created_ms, finished_ms;
  int salt;           /* part of the hashes: changes where containers are to be made anew without any other change */
  bool deployed;      /* was in force whole once */
  int rollback_of;    /* the revision whose content this one brings back; 0: none */
  bool automatic;     /* made by a failed update */
  char *model_text;   /* canonical JSON */
  json_t *origin;     /* where it comes from: control/objects.md; NULL: not known */
  char *cause;        /* "source", "secret", "update", "rollback": Berth's own doing; NULL: somebody's */
  json_t *contents;   /* {"secrets/NAME": {"fingerprint","size","external"}} */
  json_t *model;      /* NULL while not loaded */
  BT_VEC(struct ctl_spec *) specs; /* while loaded, in order of dependencies */
  struct bt_map *by_name;          /* name -> spec; NULL where there are few */
  struct bt_map *named;            /* name -> ctl_named; NULL where nobody says anything */
  size_t hashing;                  /* how many specs have their hash, while c->hashing has it */
  json_t *pins;       /* {service: {image, pinned, digest, source, pull, hash, resolved_at}}: the stored form */
  struct bt_quota_amounts *asks; /* of its services: quota.c; NULL: not reckoned yet */
  int uses;           /* instances made of it */
  uint64_t changed;
  bool unsaved;
};

/* ---- instances: struct ctl_inst is in inst.h ---- */

/* As what an instance stands in its pools. */
enum ctl_lb { CTL_LB_NONE, CTL_LB_READY, CTL_LB_DRAIN };

/* ---- runs of jobs ---- */

enum ctl_run_state { CTL_RUN_ACTIVE, CTL_RUN_SUCCEEDED, CTL_RUN_FAILED };

struct ctl_run {
  int number;
  enum ctl_run_state state;
  char *cause;  /* "schedule", "follows", or who asked for it */
  char *reason; /* why it failed; NULL */
  int64_t due_ms;                  /* by the wall clock; 0: it was asked for */
  int64_t started_ms, finished_ms; /* by control's own clock */
  bool keeps;   /* its instances stay: of the last look */
};

/* What a job has beside its instances. */
struct ctl_jobs {
  BT_VEC(struct ctl_run) runs; /* rising: those that are active, and the last ones that ended */
  int last;                    /* number of the last run */
  char *signature;             /* of the schedule that considered_ms is about */
  int64_t considered_ms;       /* by the wall clock: what was due until then is dealt with */
  int64_t succeeded_ms;        /* when a run last did; 0: none has */
  int64_t seen_ms;             /* of a job that follows others: successes until then have had their run */
  int64_t next_ms;             /* by the wall clock, as of the last look; INT64_MAX: not known */
  char *waits;                 /* why a run that is due does not begin, as of the last look; NULL */
  /* of a job that does not recur and has an active_deadline */
  int64_t round_ms; /* when its first instance began; 0: none has */
  int round_gen;
  bool expired;
};

struct ctl_scaler; /* autoscale.h */

struct ctl_service {
  struct ctl_app *app;
  struct ctl_wait *wait; /* for places: queue.c; NULL */
  char *name;
  struct ctl_spec *spec; /* of the app's target; NULL: dropped from the file */
  BT_VEC(struct ctl_inst *) insts;
  struct bt_rollout roll;
  struct ctl_jobs *jobs; /* NULL where there is nothing to remember */
  struct ctl_scaler *scaler; /* NULL where its number does not follow anything */
  char *note;       /* why its rollout is as it is; NULL */
  char *blocked;    /* what it waits for in vain, as of the last look; NULL */
  int gen;          /* restart generation */
  bool well;        /* all slots of the target stand: as of the last look */
  bool moved;       /* its instances were replaced or restarted in this rollout: dependents with restart: true follow */
  int64_t wake_ms, looked_ms;
  uint64_t changed; /* revision of the last change of it or of an instance */
  char *text;       /* cache of its view */
  uint64_t text_at;
};

enum ctl_app_state { CTL_APP_DEPLOYING, CTL_APP_RUNNING, CTL_APP_DEGRADED, CTL_APP_FAILED, CTL_APP_ROLLING_BACK, CTL_APP_REMOVING };

struct ctl_app {
  struct bt_control *control;
  char *ns, *name, *key; /* key: "ns/name" */
  enum ctl_app_state state;
  char *message;
  BT_VEC(struct ctl_rev *) revs; /* rising */
  struct ctl_rev *target;        /* what is rolled out; NULL: none yet */
  int target_number;             /* while loading */
  int stable;                    /* the last revision that was deployed whole; 0: none */
  BT_VEC(struct ctl_service *) services;
  struct bt_map *by_name;        /* name -> service; NULL where there are few */
  bool drop_volumes;
  bool scheduled; /* a service of it has a schedule */
  struct bt_quota_user *quota;
  const struct bt_quota_space *quota_waits; /* instances of it wait for a limit of that namespace; NULL: none */
  bool routed; /* a service of it has routes, or had some since the server's start */
  struct ctl_update *update; /* a look at its images under way; NULL */
  bool update_again;         /* something was pushed meanwhile */
  int64_t update_ms;         /* the next look */
  char *update_refused;      /* why the last proposal was */
  int64_t created_ms, updated_ms, wake_ms, looked_ms;
  bool dirty, unsaved;
  bool wants_nodes; /* as of the last look: what a node has or is may change something for it */
  bool stepped; /* a rollout went on; stored when the look at the app is through: a lost one is made again */
  uint64_t changed;
  char *text;
  uint64_t text_at;
};

/* ---- resources of a namespace: networks, volumes, secrets, configs ---- */

enum ctl_res_kind { CTL_NETWORK, CTL_VOLUME };
struct ctl_res {
  enum ctl_res_kind kind;
  char *ns, *app, *key, *name; /* key: in the model; name: on the engine */
  char *id;                    /* "ns/name" */
  json_t *spec;
  char *node;                  /* a volume whose data is there; NULL: nowhere yet, or anywhere */
  bool dropping, unsaved;
  bool stuck; /* a network that the engine does not let go: nothing waits for its end */
  int drops;  /* removals that failed */
  char *error;
  int64_t created_ms, dropping_ms, retry_ms; /* retry: the next removal; INT64_MAX: under way */
};

/* A secret's or config's content: of an app (by fingerprint) or of the namespace (app NULL). */
struct ctl_content {
  char *ns, *app, *name, *fingerprint;
  char *id;  /* "ns/secrets/APP/NAME/FP", "ns/secrets/-/NAME", configs likewise: ns/ + key of the class */
  bool config;
  char *data; /* sealed blob, or base64 of a config */
  long long size;
  int64_t created_ms, updated_ms;
};

/* ---- nodes, events, calls ---- */

struct ctl_node {
  char *name;
  json_t *info; /* of hello */
  const char *zone; /* of its labels; "": none */
  bool connected, ready, unsaved;
  bool cordoned; /* a person said: no new instances */
  char *message;
  uint32_t number; /* in the fleet */
  struct bt_strs images;  /* marks of what it has; near.c */
  struct ctl_devices *devices; /* of info; NULL: it does not say (dims.h) */
  int instances;
  struct ctl_inst *first, *last; /* of its instances: inst.h */
  int64_t down_ms; /* since when it is not connected, by control's own clock */
  int64_t lost_ms; /* when it was given up, by the wall clock; 0: it was not */
  enum bt_lost_verdict verdict; /* as of the last look */
  struct ctl_vacate *vacate;    /* it is drained, or was; NULL */
};

/* A node that is drained: vacate.c. */
struct ctl_vacate {
  char *actor;
  int64_t since_ms; /* by the wall clock */
  int64_t until_ms; /* when jobs have to go, by control's own */
  bool done;        /* nothing is there any more */
  struct bt_map *stays; /* instance id -> why it is there, as of the last look */
};

enum ctl_move_cause { CTL_MOVE_DRAIN, CTL_MOVE_REBALANCE };
/* An instance that makes way for another: moves.c. */
struct ctl_move {
  enum ctl_move_cause cause;
  char *to; /* node; NULL: the planner's choice */
  int64_t begun_ms;
};

/* ---- sources: apps that follow a repository ---- */

/* Somebody who waits for a look: berth sync. */
struct ctl_waiter {
  uint64_t request; /* 0: nobody */
  bool dry_run;
  char *actor;
};

struct ctl_source {
  char *ns, *app, *id; /* id: "ns/app" */
  json_t *spec;        /* model/source.h */
  char *actor;         /* who wanted it */
  json_t *found;       /* {commit, ref, author, email, time, subject, signature} as of the last look; NULL: none yet */
  char *applied;       /* commit that the app is at; NULL: none */
  int revision;        /* of the app that stands for it */
  char *refused;       /* commit that is not tried again unasked; NULL: none */
  char *error;         /* why the last look or that commit failed; NULL */
  int failures;        /* in a row */
  char *reported;      /* "commit state" as the host was told; NULL */
  int64_t created_ms, looked_ms, synced_ms;
  /* not stored */
  int64_t next_ms, status_ms; /* the next look; before it no status is sent */
  uint64_t call, status_call; /* under way; 0: none */
  bool applying, again, stale, status_failed; /* again, stale: a push, other settings came up during the look */
  char *reporting;
  BT_VEC(struct ctl_waiter) serving; /* requests that the look under way answers: all real or all dry */
  BT_VEC(struct ctl_waiter) waiting;
};

struct ctl_event {
  uint64_t id, revision;
  char *text; /* JSON; behind its end stand the three below */
  const char *ns, *app, *type; /* for filters; ns and app may be NULL */
};

struct ctl_call {
  uint64_t id;
  bool build;
  char *app; /* key */
  int revision;   /* 0: a check of an unchanged app (see check) */
  char *service;
  struct ctl_check *check;
};

/* An apply of an unchanged model: asks whether its images moved before it answers. Lives in memory only: the client waits. */
struct ctl_check {
  uint64_t request;
  char *app;
  int revision;
  int waiting;
  json_t *pins; /* {service: result} */
  json_t *args;
  char *actor;
};

struct ctl_update; /* update.c */

/* A stored instance, and the names of what it belongs to, which may not be loaded yet: words. */
struct ctl_waiting {
  struct ctl_inst *inst;
  const char *ns, *app, *service, *hash, *node; /* the last two may be NULL */
};

struct bt_control {
  char *server_id;
  int keep_revisions, keep_events;
  uint64_t revision;
  int64_t now_ms;  /* of timers and whatever is compared with them; see bt_input */
  int64_t skew_ms; /* what the wall clock has more */
  bool loaded;
  struct bt_map *apps;      /* key -> ctl_app */
  struct ctl_index instances; /* by id: inst.h */
  struct bt_map *words;     /* texts that many have: inst.h */
  struct bt_map *nodes;     /* name -> ctl_node */
  json_t *settings;         /* the operator's: see settings.c */
  struct bt_control_judge judge;
  struct {
    const struct ctl_spec *spec; /* that was asked about last */
    json_t *service;             /* as the policies see it */
    int told;                    /* failures that became events since they changed */
    bool any, trial;             /* they have something to say; what is asked is only tried */
  } judged;                      /* see judge.c */
  struct bt_pools pools;
  struct bt_scheduling scheduling;
  struct bt_namespaces namespaces;
  struct bt_map *namespaces_by_name; /* -> bt_namespace */
  struct bt_quota *quota;   /* what they may use and use: see quota.c */
  BT_VEC(struct ctl_app *) quota_waiting;
  struct bt_fleet *fleet;   /* nodes and who is where, as the planner sees them: see fleet.c */
  struct ctl_dims *dims;    /* what is counted beside cpu and memory (dims.h) */
  struct ctl_queue *queue;  /* who waits for places: queue.c; NULL: nobody has yet */
  struct bt_map *moves;     /* instance id -> ctl_move */
  struct ctl_once_left *once; /* of once.c; NULL */
  BT_VEC(struct ctl_node *) vacating; /* being drained */
  int lost;                 /* nodes that are given up */
  int64_t lost_looked_ms;   /* the last look at all nodes */
  int64_t lost_look_ms;     /* when to see which others are; INT64_MAX: when something changes */
  struct bt_lost_pace lost_pace;
  struct {
    bool due;         /* nodes came or changed: there may be better places */
    size_t from;      /* instances before it were looked at since then */
    int64_t next_ms;  /* the next look */
    int64_t paced_ms; /* no move begins before */
  } rebalance;
  struct bt_map *resources; /* "network/ns/name", "volume/ns/name" -> ctl_res */
  struct bt_map *contents;  /* id -> ctl_content */
  struct bt_map *sources;   /* "ns/app" -> ctl_source */
  struct bt_map *kv;        /* "plugin/key" -> value */
  struct bt_map *zones;     /* name -> ctl_zone: time zones of schedules */
  BT_VEC(struct ctl_service *) scaled; /* those with a scaler */
  bool clocked;             /* there are schedules: the wall clock is looked at now and then */
  struct ctl_event *events; /* ring of keep_events */
  size_t events_first, events_len;
  uint64_t event_seq;
  uint64_t instance_seq;
  uint64_t call_seq;
  BT_VEC(struct ctl_call *) calls;
  struct bt_map *asked;     /* id of a call of a source or of an update -> "ns/app" (char *) */
  struct bt_map *drains;    /* id of a call -> instance id (char *) */
  json_t *lb;               /* what the load balancer said last: args of lb.report; NULL: nothing yet */
  BT_VEC(struct ctl_waiting) waiting; /* stored instances that wait for the last load: inst_row.c */
  uint64_t requests, steps;
  int64_t wake_ms; /* of the apps, as far as known; a tick at it looks again */
  char *scratch;   /* text lent by bt_control_get */
  /* of the step at hand */
  struct bt_effects *fx;
  bool replied, seq_unsaved, zones_unsaved, sources_due;
  BT_VEC(struct ctl_inst *) unsaved_insts;
  BT_VEC(struct ctl_app *) unsaved_apps;
  BT_VEC(struct ctl_app *) dirty_apps;
  BT_VEC(struct ctl_check *) checks;
  BT_VEC(struct ctl_rev *) hashing; /* revisions whose images are pinned and whose hashes are being made */
  int room; /* what this step may still start or end; the rest waits for the next one */
};

#endif
