/* Logs, exec and statistics of instances for the API, over the runtime plug-in: what bt_api_server.stream promises. Handles are
 * numbers > 0; done comes exactly once and never from inside a call here. */
#ifndef BT_NODE_STREAM_H
#define BT_NODE_STREAM_H

#include <jansson.h>
#include <stdint.h>

#include "node/agent.h"

struct bt_stream_callbacks {
  /* Returns the bytes that wait on the caller's side; while that is over 1 MiB nothing is read. Also called with len 0, to ask
   * just that. May be NULL. */
  size_t (*data)(void *arg, int channel, const void *data, size_t len);
  void (*done)(void *arg, enum bt_code code, const char *message, const json_t *result);
  void *arg;
};

/* op "logs" {follow, tail, since_ms, until_ms, timestamps}; "exec" {command, tty, stdin, user, workdir, env, rows, cols}; "stats" {app, service,
 * namespace} (instance "" for all: {"items": [{"instance","app","service","namespace", …}]}); "image.list" {label}; "image.pull" {image,
 * platform} and "image.import" {path, name} with progress; "image.remove" {image}; "image.prune" {}. */
uint64_t bt_stream_open(struct bt_agent *agent, const char *op, const char *namespace_, const char *instance,
                        const json_t *args, const struct bt_stream_callbacks *callbacks);
size_t bt_stream_input(struct bt_agent *agent, uint64_t handle, const void *data, size_t len);
void bt_stream_resize(struct bt_agent *agent, uint64_t handle, int rows, int cols);
void bt_stream_cancel(struct bt_agent *agent, uint64_t handle);
/* The agent is being freed and its calls have ended: lets go of the streams whose end is still on its way. */
void bt_streams_free(struct bt_agent *agent);

#endif
