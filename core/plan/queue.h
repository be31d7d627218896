/* Whose turn it is among those that found no place. A namespace's waiting services stand in a row of their own: by priority with what waiting
 * adds to it, then by age. Of the namespaces that one is next whose first in the row has the highest priority as the others see it (also with
 * what waiting adds); of equals the one with the least dominant share of the cluster by its weight (DRF: the largest of its shares of cpu,
 * memory and whatever else is counted), and of equals again the one that has waited longest.
 *
 * Waiting adds one point of priority for each ten minutes, up to 2000, which is all that priorities can differ by: whatever comes later is
 * overtaken in the end, so nobody starves. Pure; made anew for each look: sorting is O(n log n), each further step O(log of namespaces). */
#ifndef BT_PLAN_QUEUE_H
#define BT_PLAN_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "plan/fleet.h"

#define BT_QUEUE_POINT_MS 600000
#define BT_QUEUE_POINTS_MOST 2000

struct bt_queue;

/* What so long a wait adds to a priority. */
int bt_queue_points(int64_t waited_ms);

/* total: what all nodes have; below or equal 0: not known, and no share is counted in it. */
struct bt_queue *bt_queue_new(const double total[BT_FLEET_DIMS], int64_t now_ms);
void bt_queue_free(struct bt_queue **queue);
/* A namespace, with its weight (above 0); returns its number. */
uint32_t bt_queue_tenant(struct bt_queue *queue, double weight);
/* So many of such instances are counted against it. */
void bt_queue_uses(struct bt_queue *queue, uint32_t tenant, const int64_t need[BT_FLEET_DIMS], size_t n);
/* Its dominant share of the cluster, by its weight. */
double bt_queue_share(const struct bt_queue *queue, uint32_t tenant);

/* Instances that are alike and wait for places. */
struct bt_queue_entry {
  int priority; /* within its namespace */
  int outward;  /* as other namespaces see it */
  int64_t since_ms;
  int64_t need[BT_FLEET_DIMS]; /* of one of them */
  void *tag;                   /* the caller's */
};
/* Before the first bt_queue_next only. */
void bt_queue_add(struct bt_queue *queue, uint32_t tenant, const struct bt_queue_entry *entry);

/* Whose turn it is; NULL: nobody's any more. The same again until bt_queue_took puts its namespace behind another, or bt_queue_pass. */
const struct bt_queue_entry *bt_queue_next(struct bt_queue *queue);
/* It got so many places. */
void bt_queue_took(struct bt_queue *queue, size_t n);
/* It gets no more in this look. */
void bt_queue_pass(struct bt_queue *queue);

#endif
