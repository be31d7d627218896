/* The node agent: keeps the containers that it was assigned running through a runtime plug-in. Knows the messages of
 * model/messages.md, not who sends them: in one process they are function calls, over a wire they will be frames.
 * Restarts (policy, backoff), probes, secrets on tmpfs, the port proxy and hooks are its own; it goes on without the server.
 * Loop's thread only. */
#ifndef BT_NODE_AGENT_H
#define BT_NODE_AGENT_H

#include <jansson.h>

#include "loop/http_client.h"
#include "loop/loop.h"
#include "loop/worker.h"

struct bt_agent;
struct bt_plugins;

struct bt_agent_options {
  const char *node_name;
  const char *server_id;       /* label berth.server of every object it makes */
  const char *run_dir;         /* "/run/berth": secrets (tmpfs), sockets */
  const json_t *labels;        /* of the node; an object of strings */
  const json_t *devices, *resources; /* model/node_has.h; may be NULL */
  int concurrency;             /* engine operations at once; 0: 8 */
  double reserve_cpus;         /* kept back from instances */
  int64_t reserve_memory;      /* bytes */
  struct bt_loop *loop;
  struct bt_plugins *plugins;
  struct bt_pool *pool;
  struct bt_http *http;        /* for probes */
  const char *portd;           /* path of the port proxy's program */
  void (*send)(void *arg, json_t *message_steal); /* to the server; may be called from inside bt_agent_message */
  /* Content of a secret or config by its key ("secrets/…", "configs/…"): the plain bytes, which the agent wipes and frees. */
  int (*content)(void *arg, const char *namespace_, const char *key, void **data, size_t *len, struct bt_err **err);
  /* Names and digests of the images that apps are made of: an array, a new reference. NULL: images are never collected. */
  json_t *(*images)(void *arg);
  void *arg;
};

int bt_agent_new(const struct bt_agent_options *options, struct bt_agent **out, struct bt_err **err) BT_CHECK;
void bt_agent_start(struct bt_agent *agent);  /* connects to the engine, then sends "hello" */
void bt_agent_free(struct bt_agent **agent);  /* containers run on */
/* Takes over labels, concurrency and what is kept back, and tells the server where it is connected. Running instances stay. */
void bt_agent_tune(struct bt_agent *agent, const struct bt_agent_options *options);
void bt_agent_message(struct bt_agent *agent, const json_t *message);
void bt_agent_hello(struct bt_agent *agent);  /* says hello again: the server forgot what it knew */
const json_t *bt_agent_info(const struct bt_agent *agent); /* of the runtime (berth_runtime.info); NULL before it answered */
bool bt_agent_feature(const struct bt_agent *agent, const char *feature); /* does the runtime's info name it? */
bool bt_agent_connected(const struct bt_agent *agent);

#endif
