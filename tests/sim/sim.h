/* A world on virtual time around the control core: a store that becomes durable late, a node with an agent and containers, clients,
 * a registry, and a demon that breaks connections, kills containers and crashes the server at any step. All of it from
 * one number, so that a failure is found again by its seed. */
#ifndef BT_SIM_SIM_H
#define BT_SIM_SIM_H

#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"
#include "base/vec.h"
#include "control/internal.h"

enum sim_kind { SIM_TICK, SIM_DURABLE, SIM_TO_NODE, SIM_TO_SERVER, SIM_CALL, SIM_CLIENT, SIM_BOX, SIM_LINK, SIM_DEMON, SIM_SWEEP };

struct sim_event {
  int64_t at_ms;
  uint64_t seq; /* ties in order of making */
  enum sim_kind kind;
  int epoch;    /* of the connection, for messages; of the box, for SIM_BOX */
  uint64_t id;  /* of a call */
  bool fail;
  char *box;
  json_t *message;
};

/* An instance on the node: what the agent knows of it, and its container. */
struct sim_box {
  char *id, *slot;  /* slot: "app/service/3" */
  json_t *assignment;
  bool known;       /* the agent knows it; false after the agent started anew */
  bool gone;        /* is to go */
  bool restart;     /* a restart was asked for */
  bool exists, running, ready, finished;
  enum bt_state state;
  int epoch, exit_code, failures, restarts, starts;
  int64_t next_start_ms, started_ms, ready_ms, finished_ms;
  char *last_report;
  uint64_t born; /* rising: the later of two has the order in force */
};

struct sim_pending {
  struct bt_effects fx;
};

struct sim {
  uint64_t seed, rng;
  bool verbose, failed, calm; /* calm: no more faults and no more clients */
  int64_t now_ms, started_ms;
  uint64_t steps, crashes, seq, requests;
  struct bt_control *c;
  struct bt_map *store; /* "kind key" -> text: what is durable */
  uint64_t durable;     /* revision */
  BT_VEC(struct sim_event) events; /* a heap */
  BT_VEC(struct sim_pending *) pending;
  int64_t wake_ms;
  int idle_ticks;
  /* node */
  struct bt_map *boxes;
  struct bt_map *networks, *volumes;
  bool linked;
  int epoch;
  /* clients */
  struct bt_map *acked; /* app -> revision that was acknowledged (char *) */
  struct bt_buf log;    /* the last words before a failure */
};

/* ---- world.c ---- */
uint64_t sim_rand(struct sim *s, uint64_t n); /* 0 … n-1 */
bool sim_chance(struct sim *s, unsigned percent);
void sim_say(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_bad(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct sim_event *sim_at(struct sim *s, int64_t in_ms, enum sim_kind kind);
void sim_step(struct sim *s, struct bt_input in);
void sim_start(struct sim *s, uint64_t seed, bool verbose);
bool sim_run_until(struct sim *s, int64_t at_ms); /* false when nothing is left to happen or an invariant broke */
void sim_end(struct sim *s);

/* ---- node.c ---- */
void sim_node_message(struct sim *s, const json_t *m);
void sim_box_event(struct sim *s, struct sim_box *box);
void sim_box_kill(struct sim *s, struct sim_box *box);
void sim_box_free(void *box);
void sim_link_up(struct sim *s);
void sim_link_down(struct sim *s, bool agent_forgets);
void sim_sweep(struct sim *s);

/* ---- client.c ---- */
void sim_client(struct sim *s);
void sim_reply(struct sim *s, const struct bt_reply *reply);
void sim_request(struct sim *s, const char *op, json_t *args_steal);
json_t *sim_model(struct sim *s, const char *app, bool well);
extern const char *const sim_apps[3];

/* ---- check.c ---- */
void sim_check(struct sim *s);                                 /* after each step */
void sim_check_send(struct sim *s, const json_t *message);     /* of each message to a node */
void sim_check_acked(struct sim *s);                           /* after a crash */
void sim_check_settled(struct sim *s, bool all_well);          /* when nothing more happens */
void sim_check_empty(struct sim *s);                           /* after everything was removed */

#endif
