/* Keeps the load balancer plug-in's idea of routes and endpoints equal to control's: the whole table when the plug-in (re)starts or
 * is in doubt, else changes of endpoints as they come, several in one call. One call is under way at a time; what comes meanwhile
 * is gathered. Knows what berth/lb.h says, and nothing of products. Loop's thread only. */
#ifndef BT_NODE_BALANCER_H
#define BT_NODE_BALANCER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "loop/loop.h"

struct bt_balancer;
struct bt_plugins;

struct bt_balancer_options {
  struct bt_loop *loop;
  struct bt_plugins *plugins;
  json_t *(*table)(void *arg); /* bt_control_routes */
  /* The plain content behind a certificate's key; the caller wipes and frees. */
  int (*content)(void *arg, const char *namespace_, const char *key, void **data, size_t *len, struct bt_err **err);
  void (*report)(void *arg, json_t *args_steal); /* of the write lb.report */
  void *arg;
};

struct bt_balancer *bt_balancer_new(const struct bt_balancer_options *options);
void bt_balancer_free(struct bt_balancer **balancer); /* drains that are open end with BT_CANCELLED */

/* As struct bt_executor_options has it. */
void bt_balancer_changed(struct bt_balancer *b, bool whole, const json_t *endpoints);
/* The call "lb.drain". done exactly once, never from inside. */
void bt_balancer_drain(struct bt_balancer *b, const json_t *args,
                       void (*done)(void *arg, enum bt_code code, const char *message, const json_t *result), void *arg);
/* The result of the plug-in's stats; NULL where none answers. done exactly once, perhaps from inside. */
void bt_balancer_stats(struct bt_balancer *b, void (*done)(void *arg, const json_t *stats), void *arg);

#endif
