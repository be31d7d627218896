/* What of a service a container engine can change while the container runs: its limits of cpu, memory and processes, and the memory that
 * is reserved for it. Reservations of cpu, and those of x-berth.reserve, are the planner's alone. Pure; knows nothing of engines, nodes or instances. */
#ifndef BT_MODEL_INPLACE_H
#define BT_MODEL_INPLACE_H

#include <jansson.h>
#include <stdbool.h>

#include "model/service.h"

/* The canonical service without deploy.resources' cpus, memory and pids and what means the same (cpus, mem_limit, mem_reservation,
 * pids_limit): two services whose rest is equal differ only in what can be changed in place. New reference; of copies as far as something
 * is left out. */
json_t *bt_inplace_rest(const json_t *service);
/* What its container is to have, as resources_json of berth_runtime.update has it: {"cpus", "memory", "memory_reservation", "pids"}, each
 * only where there is one. New reference. */
json_t *bt_inplace_wanted(const json_t *service);
/* Whether engines can get from one to the other: what has a limit cannot lose it while it runs. False with a sentence's end in *why ("the
 * limit of memory is taken away"), a literal; why may be NULL. */
bool bt_inplace_reachable(const json_t *from, const json_t *to, const char **why);
/* Whether x-berth.reserve keeps other amounts for them. */
bool bt_inplace_reserves_differ(const struct bt_service *a, const struct bt_service *b);
/* "memory 256MiB -> 512MiB, cpus reserved 0.5 -> 1": what differs, in words. The caller frees; NULL: nothing does. */
char *bt_inplace_words(const json_t *from, const json_t *to);

#endif
