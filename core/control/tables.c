#include "config.h"

#include "base/plant.h"
#include "control/internal.h"

#define SEQ_BITS 25 /* five letters of base 32 */
#define SEQ_MASK ((1u << SEQ_BITS) - 1)

static char *app_key(const char *ns, const char *name) { return bt_asprintf("%s/%s", ns, name); }

struct ctl_app *ctl_app_find(const struct bt_control *c, const char *ns, const char *name) {
  BT_AUTO_FREE char *key = app_key(ns, name);
  return bt_map_get(c->apps, key);
}

struct ctl_app *ctl_app_new(struct bt_control *c, const char *ns, const char *name) {
  struct ctl_app *app = bt_new(struct ctl_app);
  app->control = c;
  app->ns = bt_strdup(ns);
  app->name = bt_strdup(name);
  app->key = app_key(ns, name);
  app->wake_ms = app->update_ms = INT64_MAX;
  app->created_ms = app->updated_ms = ctl_wall(c);
  ctl_quota_app_new(app);
  bt_map_set(c->apps, app->key, app);
  return app;
}

void ctl_inst_free(struct bt_control *c, struct ctl_inst *inst) {
  struct ctl_seen *seen = inst->seen;
  ctl_word_set(c, &inst->reason, NULL);
  if (seen) {
    char *const strings[] = {seen->error, seen->container_id, seen->ip, seen->co_network, seen->unfit};
    for (size_t i = 0; i < BT_COUNT(strings); i++)
      free(strings[i]);
    ctl_word_set(c, &seen->image_id, NULL);
    json_decref(seen->ports);
    free(seen);
  }
  free(inst);
}

static void service_free(struct ctl_service *service) {
  ctl_queue_forget(service);
  bt_vec_each(&service->insts, inst) ctl_inst_free(service->app->control, *inst);
  bt_vec_free(&service->insts);
  ctl_jobs_free(&service->jobs);
  ctl_scaler_free(service);
  free(service->name);
  free(service->note);
  free(service->blocked);
  free(service->text);
  free(service);
}

void ctl_app_free(void *arg) {
  struct ctl_app *app = arg;
  ctl_quota_app_gone(app);
  bt_map_free(&app->by_name);
  bt_vec_each(&app->services, service) service_free(*service);
  bt_vec_each(&app->revs, rev) ctl_rev_free(*rev);
  bt_vec_free(&app->services);
  bt_vec_free(&app->revs);
  free(app->ns);
  free(app->name);
  free(app->key);
  free(app->message);
  free(app->text);
  free(app->update_refused);
  ctl_update_free(&app->update);
  free(app);
}

/* Where items[i] is item; n: nowhere. From both ends at once: of a hundred thousand instances the first runs or the last slots go. */
static size_t index_of(void *const *items, size_t n, const void *item) {
  for (size_t i = 0; i < n - n / 2; i++) {
    if (items[i] == item)
      return i;
    if (items[n - 1 - i] == item)
      return n - 1 - i;
  }
  return n;
}

#define drop_from(vec, item)                                                      \
  do {                                                                            \
    size_t drop_i_ = index_of((void *const *)(vec)->items, (vec)->len, (item));   \
    if (drop_i_ < (vec)->len)                                                     \
      bt_vec_remove((vec), drop_i_);                                              \
  } while (0)

void ctl_app_delete(struct ctl_app *app) {
  struct bt_control *c = app->control;
  ctl_calls_drop(c, app);
  drop_from(&c->unsaved_apps, app);
  drop_from(&c->dirty_apps, app);
  bt_vec_each(&app->revs, rev) {
    BT_AUTO_FREE char *key = bt_asprintf("%s/%d", app->key, (*rev)->number);
    if (!BT_PLANT(REVISIONS_LEFT))
      ctl_del(c, "revision", key);
  }
  ctl_del(c, "app", app->key);
  bt_map_del(c->apps, app->key);
}

struct ctl_service *ctl_service_find(const struct ctl_app *app, const char *name) {
  if (app->by_name)
    return bt_map_get(app->by_name, name);
  bt_vec_each(&app->services, service) if (bt_streq((*service)->name, name)) return *service;
  return NULL;
}

static void index_services(struct ctl_app *app) {
  app->by_name = bt_map_new(NULL);
  bt_vec_each(&app->services, service) bt_map_set(app->by_name, (*service)->name, *service);
}

struct ctl_service *ctl_service_get(struct ctl_app *app, const char *name) {
  struct ctl_service *service = ctl_service_find(app, name);
  if (service)
    return service;
  service = bt_new(struct ctl_service);
  service->app = app;
  service->name = bt_strdup(name);
  service->wake_ms = INT64_MAX;
  bt_vec_push(&app->services, service);
  if (app->by_name)
    bt_map_set(app->by_name, name, service);
  else if (app->services.len > CTL_FEW)
    index_services(app);
  return service;
}

void ctl_service_delete(struct ctl_service *service) {
  struct ctl_app *app = service->app;
  BT_ASSERT(service->insts.len == 0);
  if (app->routed)
    app->control->fx->routes = true; /* its routes lasted until now */
  if (app->by_name)
    bt_map_del(app->by_name, service->name);
  for (size_t i = app->services.len; i-- > 0;) /* who drops several begins at the end */
    if (app->services.items[i] == service) {
      bt_vec_remove(&app->services, i);
      break;
    }
  if (app->services.len == 0)
    bt_map_free(&app->by_name);
  service_free(service);
}

/* A bijection over 25 bits, so that names look unlike each other and none comes twice before all were used. */
static uint32_t scatter(uint64_t seq) {
  uint32_t x = (uint32_t)seq & SEQ_MASK;
  x = (x * 0x9E3779B1u) & SEQ_MASK;
  x ^= x >> 13;
  x = (x * 0x85EBCA6Bu) & SEQ_MASK;
  x ^= x >> 12;
  return x;
}

static void instance_id(const struct ctl_service *service, int slot, uint64_t seq, struct bt_buf *out) {
  static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
  const struct ctl_app *app = service->app;
  if (!bt_streq(app->ns, "default"))
    bt_buf_addf(out, "%s.", app->ns);
  bt_buf_addf(out, "%s-%s-%d-", app->name, service->name, slot);
  uint32_t x = scatter(seq);
  for (int shift = SEQ_BITS - 5; shift >= 0; shift -= 5)
    bt_buf_addc(out, letters[(x >> shift) & 31]);
}

struct ctl_inst *ctl_inst_alloc(const char *id) {
  size_t n = strlen(id) + 1;
  struct ctl_inst *inst = bt_calloc(1, sizeof *inst + n);
  memcpy(inst->id, id, n);
  inst->seat = BT_FLEET_NONE;
  return inst;
}

void ctl_inst_attach(struct ctl_service *service, struct ctl_spec *spec, struct ctl_inst *inst) {
  struct bt_control *c = service->app->control;
  inst->service = service;
  inst->spec = spec;
  spec->rev->uses++;
  bt_vec_push(&service->insts, inst);
  ctl_index_add(&c->instances, inst);
}

struct ctl_inst *ctl_inst_new(struct ctl_service *service, struct ctl_spec *spec, int slot) {
  struct bt_control *c = service->app->control;
  BT_AUTO_BUF id = {0};
  do {
    bt_buf_truncate(&id, 0);
    instance_id(service, slot, c->instance_seq++, &id);
  } while (ctl_inst_find(c, id.data));
  c->seq_unsaved = true;
  struct ctl_inst *inst = ctl_inst_alloc(id.data);
  ctl_inst_attach(service, spec, inst);
  inst->slot = slot;
  inst->revision = spec->rev->number;
  inst->gen = service->gen;
  inst->created_ms = inst->begun_ms = c->now_ms;
  ctl_touch_inst(inst);
  return inst;
}

static void unseat(struct ctl_inst *inst) {
  struct ctl_node *node = inst->node;
  if (!node)
    return;
  ctl_fleet_release(inst);
  node->instances--;
  struct ctl_inst *next = inst->beside[0], *before = inst->beside[1];
  *(before ? &before->beside[0] : &node->first) = next;
  *(next ? &next->beside[1] : &node->last) = before;
  inst->beside[0] = inst->beside[1] = NULL;
  inst->node = NULL;
}

void ctl_inst_delete(struct ctl_inst *inst) {
  struct ctl_service *service = inst->service;
  struct bt_control *c = service->app->control;
  ctl_routes_inst(inst, true);
  ctl_vacate_gone(inst);
  bt_map_del(c->moves, inst->id);
  unseat(inst);
  if (inst->unsaved)
    drop_from(&c->unsaved_insts, inst);
  drop_from(&service->insts, inst);
  service->changed = c->revision + 1;
  inst->spec->rev->uses--;
  BT_AUTO_FREE char *key = ctl_inst_key(inst);
  ctl_grant_forget(c, inst->id);
  if (!BT_PLANT(GHOST))
    ctl_del(c, "instance", key);
  ctl_index_drop(&c->instances, inst);
  ctl_dirty(service->app);
  ctl_inst_free(c, inst);
}

void ctl_inst_seat(struct ctl_inst *inst, struct ctl_node *node) {
  inst->node = node;
  node->instances++;
  inst->beside[1] = node->last;
  *(node->last ? &node->last->beside[0] : &node->first) = inst;
  node->last = inst;
  ctl_fleet_hold(inst);
}

struct ctl_node *ctl_node_get(struct bt_control *c, const char *name) {
  struct ctl_node *node = bt_map_get(c->nodes, name);
  if (!node) {
    node = bt_new(struct ctl_node);
    node->name = bt_strdup(name);
    ctl_node_describe(node, json_object());
    bt_map_set(c->nodes, name, node);
    ctl_fleet_node(c, node);
  }
  return node;
}

void ctl_node_describe(struct ctl_node *node, json_t *info_steal) {
  json_decref(node->info);
  node->info = info_steal;
  node->zone = bt_json_str_or(bt_json_obj(info_steal, "labels"), "zone", "");
}

void ctl_node_free(void *arg) {
  struct ctl_node *node = arg;
  ctl_dims_node_free(node);
  bt_strs_free(&node->images);
  json_decref(node->info);
  ctl_vacate_free(&node->vacate);
  free(node->message);
  free(node->name);
  free(node);
}

void ctl_touch_inst(struct ctl_inst *inst) {
  struct bt_control *c = inst->service->app->control;
  if (!inst->unsaved)
    bt_vec_push(&c->unsaved_insts, inst);
  inst->unsaved = true;
}

void ctl_touch_app(struct ctl_app *app) {
  if (!app->unsaved)
    bt_vec_push(&app->control->unsaved_apps, app);
  app->unsaved = true;
}

void ctl_touch_rev(struct ctl_rev *rev) {
  rev->unsaved = true;
  ctl_touch_app(rev->app);
}

void ctl_dirty(struct ctl_app *app) {
  if (!app->dirty)
    bt_vec_push(&app->control->dirty_apps, app);
  app->dirty = true;
}

void ctl_put(struct bt_control *c, const char *kind, const char *key, json_t *value_steal) {
  bt_batch_put(&c->fx->batch, kind, key, bt_json_text(value_steal));
  json_decref(value_steal);
}

void ctl_del(struct bt_control *c, const char *kind, const char *key) { bt_batch_del(&c->fx->batch, kind, key); }

/* Nothing goes to a node before its hello: an agent that started anew would take a release of what it does not know yet for done.
 * The hello is answered with all that stands out. */
void ctl_send(struct bt_control *c, const char *node, json_t *message_steal) {
  ctl_send_to(c, bt_map_get(c->nodes, node), message_steal);
}

void ctl_send_to(struct bt_control *c, const struct ctl_node *to, json_t *message_steal) {
  if (!to || !to->connected) {
    json_decref(message_steal);
    return;
  }
  bt_vec_push(&c->fx->sends, ((struct bt_send){.node = bt_strdup(to->name), .message = message_steal}));
}

void ctl_broadcast(struct bt_control *c, json_t *message_steal) {
  for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);)
    if (((struct ctl_node *)it.value)->connected)
      ctl_send_to(c, it.value, json_incref(message_steal));
  json_decref(message_steal);
}

void ctl_wake(struct ctl_app *app, int64_t at_ms) {
  app->wake_ms = BT_MIN(app->wake_ms, at_ms);
  app->control->wake_ms = BT_MIN(app->control->wake_ms, at_ms);
}
