#include "config.h"
#include "net.h"

#include "../common/util.h"
void ro_net_plan_free(struct ro_net_plan *p) {
  json_decref(p->interfaces);
  json_decref(p->networks);
  json_decref(p->ports);
  json_decref(p->addresses);
  json_decref(p->gateways);
  json_decref(p->resolvers);
  json_decref(p->search);
  *p = (struct ro_net_plan){0};
}

enum berth_code ro_net_reserve(const struct ro_net_who *who, char **why) {
  (void)who, (void)why;
  return BERTH_OK;
}

enum berth_code ro_net_up(const struct ro_net_who *who, struct ro_net_plan *out, char **why) {
  const json_t *wants = pu_arr(who->spec, "networks");
  *out = (struct ro_net_plan){0};
  if (!json_array_size(wants))
    return BERTH_OK;
  *why = pu_asprintf("network %s: networks of its own are not there yet", pu_str_or(json_array_get(wants, 0), "name", "?"));
  return BERTH_UNSUPPORTED;
}

void ro_net_down(const char *root, const char *id) { (void)root, (void)id; }
void ro_net_forget(const char *root, const char *id) { (void)root, (void)id; }
void ro_net_settle(const char *root, const json_t *pools, const json_t *live) { (void)root, (void)pools, (void)live; }
