/* A world on virtual time around the real server: the executor, the control core, the planner, the feed and SQLite, as the daemon wires them.
 * What is simulated is what lies around: the loop and both clocks (loop.c), the disk (disk.c), nodes with agents and containers (node.c),
 * clients and a registry (client.c), and a demon (demon.c) that breaks connections, kills containers, machines and the server, fills disks
 * and sets clocks. All of it from one number, so that a failure is found again by its seed: nothing else has dice or a clock here.
 *
 * After each step check.c looks at the tables, and watch.c at what watchers were told; store.c compares what is read back from the disk with
 * what was acknowledged. Then comes calm, and everything must converge (sim.c). */
#ifndef BT_SIM_SIM_H
#define BT_SIM_SIM_H

#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"
#include "base/vec.h"
#include "control/executor.h"
#include "control/internal.h"

#define SIM_NODES 4

enum sim_kind {
  SIM_TIMER, SIM_POST, SIM_TURN, SIM_RING, SIM_TO_NODE, SIM_TO_SERVER, SIM_CALL, SIM_CLIENT, SIM_BOX, SIM_LINK, SIM_DEMON, SIM_SWEEP, SIM_BOOT, SIM_MEND,
  SIM_WATCHER, SIM_LIMITS
};

struct sim_event {
  int64_t at_ms;
  uint64_t seq; /* ties in order of making */
  enum sim_kind kind;
  int life;     /* of the server, where it dies with it; 0: it does not */
  int epoch;    /* of the connection, for messages; of the box, for SIM_BOX */
  uint64_t id;  /* of a call, a timer's arming */
  struct sim_node *node;
  char *box;
  json_t *message;
  void (*post)(void *arg);
  void *arg;
};

/* What a world may have beside the rest: wishes.c. */
enum sim_trait { SIM_PRIORITIES = 1, SIM_DEVICES = 2, SIM_WAYS = 4, SIM_SCALES = 8, SIM_SPACES = 16, SIM_REBALANCES = 32, SIM_CROWDED = 64 };

/* A namespace; 0: no limit. */
struct sim_space {
  const char *name, *parent;
  int instances, devices, priority;
  double cpus;
  bool excused; /* over it since a node came back */
};

/* An instance on a node: what the agent knows of it, and its container. */
struct sim_box {
  char *id, *slot; /* slot: "app/service/3" */
  struct sim_node *node;
  json_t *assignment;
  json_t *made, *refused; /* limits.c: the class that its container is of; {"hash", "why"} of one that it could not become; NULL */
  bool known;      /* the agent knows it; false after the agent started anew */
  bool gone;       /* is to go */
  bool restart;    /* a restart was asked for */
  bool exists, running, ready, finished;
  enum bt_state state;
  int epoch, exit_code, failures, restarts, starts;
  int64_t next_start_ms, started_ms, ready_ms, finished_ms;
  char *last_report;
  uint64_t born; /* rising: the later of two has the order in force */
};

struct sim_node {
  char name[8];
  struct bt_map *boxes; /* instance -> sim_box */
  struct bt_map *networks, *volumes;
  bool linked, dead, lags;
  bool known_up; /* what the server was told last of its connection */
  int epoch;               /* of its connection */
  int64_t skew_ms;         /* of its wall clock */
  int64_t last_in_ms, last_out_ms; /* messages keep their order */
  double cpus;
  int64_t memory;
  int devices;
};

struct sim_store;
struct sim_watcher;

struct sim {
  uint64_t seed, rng;
  bool verbose, failed;
  bool calm; /* no more faults and no more clients */
  int64_t now_ms, started_ms, skew_ms; /* skew: what the wall clock was set by */
  uint64_t hash;                       /* of everything that happened */
  uint64_t steps, crashes, seq, requests, answered;
  BT_VEC(struct sim_event) events; /* a heap */
  int idle_ticks;
  /* the server; NULL while it is down */
  int life;
  bool dead; /* it died in the middle of what it does right now: nothing that it does from here on is seen by anybody */
  int64_t dies_in; /* effects until then; 0: not at all */
  bool power_cut;  /* when it dies */
  struct bt_loop *loop;
  struct sim_store *store;
  struct bt_feed *feed;
  struct bt_executor *executor;
  struct bt_control *c; /* as of now */
  uint64_t seen_steps, step_checked;
  char *dir;
  json_t *settings;
  unsigned traits; /* sim_trait */
  struct sim_space spaces[3];
  int lost;      /* nodes that were given up, as of the last step */
  bool preempts; /* the settings let higher priorities push others out */
  struct bt_map *stood, *ways, *promoted; /* purpose.c; apps for whose updates somebody asked to go on */
  struct bt_map *assigned; /* instances that were looked at when they were given to a node */
  int asks;                /* requests without an answer */
  BT_VEC(int64_t) open;    /* when each of them was asked */
  int64_t well_ms;         /* since when the store is well */
  struct sim_node nodes[SIM_NODES];
  size_t nnodes;
  BT_VEC(struct sim_watcher *) watchers;
  /* clients */
  struct bt_map *acked; /* app -> revision that was acknowledged (char *) */
  struct bt_map *kept;  /* key of a plug-in's store -> what was asked for last, "?" before it while that is not acknowledged */
  struct bt_buf log;    /* the last words before a failure */
};

/* ---- world.c ---- */
uint64_t sim_rand(struct sim *s, uint64_t n); /* 0 … n-1 */
bool sim_chance(struct sim *s, unsigned percent);
void sim_say(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_bad(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *s, const void *data, size_t len);
void sim_trace_text(struct sim *s, const char *text); /* NULL: nothing */
struct sim_event *sim_at(struct sim *s, int64_t in_ms, enum sim_kind kind);
void sim_start(struct sim *s, uint64_t seed, bool verbose, const char *dir);
bool sim_run_until(struct sim *s, int64_t at_ms); /* false when nothing is left to happen or an invariant broke */
void sim_end(struct sim *s);

/* ---- loop.c: core/loop/loop.h on virtual time ---- */
struct bt_loop *sim_loop_new(struct sim *s);
void sim_loop_timer(struct bt_loop *loop, uint64_t armed);
bool sim_loop_poll(struct bt_loop *loop); /* true where there is more */
int64_t sim_mono_ms(void);
int64_t sim_wall_ms(void);
void sim_loop_of(struct sim *s); /* whose clocks these are */

/* ---- server.c ---- */
void sim_server_boot(struct sim *s);
void sim_server_stop(struct sim *s); /* in good order */
void sim_server_bury(struct sim *s); /* after it died */
bool sim_effect(struct sim *s);      /* one more effect on the world outside: true where it dies in this one */
void sim_server_turn(struct sim *s);
void sim_node_says(struct sim *s, struct sim_node *n, json_t *message_steal);
void sim_request(struct sim *s, const char *op, json_t *args_steal);
void sim_request_dry(struct sim *s, const char *op, json_t *args_steal);
void sim_check_answers(struct sim *s); /* after each step */
void sim_kept(struct sim *s); /* after a start: what was acknowledged is there */
void sim_calls(struct sim *s, const struct sim_event *event);

/* ---- store.c: the real store, and what it must hold ---- */
struct sim_store *sim_store_new(struct sim *s); /* what it holds outlives the server */
void sim_store_free(struct sim_store **store);
int sim_store_open(struct sim_store *store, struct bt_err **err) BT_CHECK;
void sim_store_booted(struct sim_store *store);
void sim_store_close(struct sim_store *store);
struct bt_store *sim_store_base(struct sim_store *store);
bool sim_store_turn(struct sim_store *store);
const struct bt_map *sim_store_truth(const struct sim_store *store); /* "kind key" -> text: what is durable for sure */
size_t sim_store_under_way(const struct sim_store *st); /* changes on their way to the disk */
struct sim_told { uint64_t revision; char *key; };
bool sim_store_has(const struct sim_store *store, const char *kind, const char *key); /* for sure */
const struct sim_told *sim_store_events(const struct sim_store *store, size_t *n); /* all that became durable, in order */

/* ---- watch.c ---- */
void sim_watchers_start(struct sim *s); /* the feed is there */
void sim_watchers_stop(struct sim *s);  /* it goes */
void sim_watcher_acts(struct sim *s);   /* one of them pauses, goes on, leaves, comes back */
void sim_watchers_settled(struct sim *s);
void sim_watchers_free(struct sim *s);

/* ---- node.c ---- */
void sim_node_message(struct sim *s, struct sim_node *n, const json_t *m);
void sim_box_event(struct sim *s, struct sim_box *box);
void sim_box_limits(struct sim *s, struct sim_box *box);
void sim_box_kill(struct sim *s, struct sim_box *box);
void sim_box_free(void *box);
void sim_link_up(struct sim *s, struct sim_node *n);
void sim_hello(struct sim *s, struct sim_node *n);
void sim_link_down(struct sim *s, struct sim_node *n, bool agent_forgets);
void sim_machine_dies(struct sim *s, struct sim_node *n);
void sim_sweep(struct sim *s, struct sim_node *n);
int64_t sim_node_wall(const struct sim *s, const struct sim_node *n);

/* ---- demon.c ---- */
void sim_demon(struct sim *s);
void sim_mend(struct sim *s); /* the disk's faults are over */
void sim_calm(struct sim *s);
void sim_put_right(struct sim *s); /* asks for what calm needs: no quota, no cordon */

/* ---- limits.c: limits that change in place ---- */
void sim_limits_made(struct sim_box *box); /* its container is of its assignment's class from now on */
void sim_limits_report(const struct sim_box *box, json_t *m);
bool sim_limits_assigned(struct sim *s, struct sim_box *box); /* true: its container is to get other limits, later */
bool sim_limits_change(struct sim *s, struct sim_box *box);   /* true where something is to be told */
bool sim_limits_ask(struct sim *s, const char *app);          /* false: it is another's turn */

/* ---- wishes.c ---- */
uint64_t sim_dice(const struct sim *s, uint64_t salt, uint64_t n); /* of their own: 0 … n-1, the same until the next request */
bool sim_has(const struct sim *s, enum sim_trait trait);
void sim_traits(struct sim *s); /* of the seed; the nodes are there */
json_t *sim_devices(const struct sim_node *n);
const char *sim_ns(const struct sim *s, const char *app);
struct sim_space *sim_space(struct sim *s, const char *name);
void sim_spaces(struct sim *s, json_t *settings, int instances);
void sim_wish(struct sim *s, const char *app, json_t *service, unsigned number, bool task);
json_t *sim_metrics(struct sim *s, const json_t *args);
void sim_wish_rollout(struct sim *s, const char *app, const char *action);
bool sim_wishes(struct sim *s, const char *app); /* false: it is another's turn */

/* ---- check.c ---- */
void sim_tell_app(struct sim *s, const struct ctl_app *app); /* for the reader of a failure */

/* ---- purpose.c ---- */
void sim_check_purposes(struct sim *s); /* after each step */
void sim_check_devices(struct sim *s);
void sim_purposes_forget(struct sim *s);

/* ---- client.c, model.c ---- */
void sim_client(struct sim *s);
void sim_reply(struct sim *s, uint64_t request, enum bt_code code, const char *message, const json_t *result);
json_t *sim_model(struct sim *s, const char *app, bool well);
json_t *sim_settings(struct sim *s);
extern const char *const sim_apps[3];

bool sim_alike(const char *told, const char *stored); /* watch.c: texts of an object */

/* ---- check.c ---- */
void sim_check(struct sim *s);                        /* after each step */
void sim_check_acked(struct sim *s);                  /* after a crash */
void sim_check_settled(struct sim *s, bool all_well); /* when nothing more happens */
void sim_check_empty(struct sim *s);                  /* after everything was removed */

#endif
