/* Do the parts of a model fit together? Names that are not defined, attributes that exclude each other, cycles, targets
 * and names that are taken twice. */
#include "config.h"

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/size.h"
#include "compose/internal.h"
#include "compose/values.h"
#include "compose/xberth.h"
#include "model/image.h"
#include "model/service.h"

#define RESERVED_MOST ((int64_t)1 << 48) /* as the planner has it */

/* What one service's checks share. */
struct referee {
  struct bt_load *load;
  const struct bt_map *defined; /* "networks/NAME", … */
  const struct bt_yaml *tree;
  const char *name;
  const struct bt_yaml *service;
};

static const struct bt_yaml *attr(const struct referee *r, const char *key) { return bt_yaml_get(r->service, key); }
static bool has(const struct bt_yaml *map, const char *key) { return bt_yaml_get(map, key) != NULL; }

static const char *text_of(const struct bt_yaml *n) { return n && n->kind == BT_YAML_STR ? n->text : ""; }

/* kind: "network"; its plural is the key of the file. */
static void undefined(const struct referee *r, const char *kind, const char *name, struct bt_loc loc) {
  BT_AUTO_FREE char *plural = bt_asprintf("%ss", kind);
  const struct bt_yaml *all = bt_yaml_get(r->tree, plural);
  BT_AUTO_FREE char *key = bt_asprintf("%s/%s", plural, name);
  if (bt_map_get(r->defined, key))
    return;
  struct bt_nearest near = bt_nearest_start(name);
  if (all && all->kind == BT_YAML_MAP && r->load->diags->errors < 100) /* more are not shown */
    bt_vec_each(&all->map, pair) bt_nearest_try(&near, pair->key);
  char hint[96];
  if (near.best)
    bt_nearest_hint(near.best, hint);
  else
    snprintf(hint, sizeof hint, "; add it under \"%s\" of the file", plural);
  bt_diag_error(r->load->diags, loc, "services.%s refers to %s \"%.60s\", which is not defined%s", r->name, kind, name, hint);
}

static void undefined_sources(const struct referee *r, const char *kind, const struct bt_yaml *list) {
  for (size_t i = 0; list && list->kind == BT_YAML_SEQ && i < list->seq.len; i++) {
    const struct bt_yaml *item = list->seq.items[i], *source = bt_yaml_get(item, "source"), *type = bt_yaml_get(item, "type");
    if (source && *text_of(source) && (!type || bt_streq(text_of(type), "volume")))
      undefined(r, kind, source->text, source->loc);
  }
}

static void undefined_keys(const struct referee *r, const char *kind, const struct bt_yaml *map) {
  if (map && map->kind == BT_YAML_MAP)
    bt_vec_each(&map->map, pair) undefined(r, kind, pair->key, pair->loc);
}

/* ---- one service ---- */

static void check_build(const struct referee *r) {
  const struct bt_yaml *build = attr(r, "build"), *image = attr(r, "image");
  if (!build && !*text_of(image) && !attr(r, "provider"))
    bt_diag_error(r->load->diags, r->service->loc, "services.%s has neither \"image\" nor \"build\"; it needs one of them",
                  r->name);
  if (has(build, "dockerfile") && has(build, "dockerfile_inline"))
    bt_diag_error(r->load->diags, bt_yaml_get(build, "dockerfile_inline")->loc,
                  "services.%s.build has both dockerfile and dockerfile_inline; keep one", r->name);
  const struct bt_yaml *platform = attr(r, "platform"), *platforms = bt_yaml_get(build, "platforms");
  bool found = !platform || !platforms || platforms->kind != BT_YAML_SEQ;
  for (size_t i = 0; !found && i < platforms->seq.len; i++)
    found = bt_streq(platforms->seq.items[i]->text, platform->text);
  if (!found)
    bt_diag_error(r->load->diags, platforms->loc, "services.%s.build.platforms must hold the service's platform \"%s\"",
                  r->name, platform->text);
}

/* The loader does not ask a registry, but what no registry could ever have is an error of the file. */
static void check_image(const struct referee *r) {
  const struct bt_yaml *image = attr(r, "image");
  BT_AUTO_IMAGE ref = {0};
  BT_AUTO_ERR err = NULL;
  if (*text_of(image) && bt_image_parse(image->text, &ref, &err))
    bt_diag_error(r->load->diags, image->loc, "services.%s.image: %s", r->name, bt_err_message(err));
}

static void check_network(const struct referee *r) {
  const struct bt_yaml *mode = attr(r, "network_mode"), *networks = attr(r, "networks");
  if (mode && networks && networks->kind == BT_YAML_MAP && networks->map.len)
    bt_diag_error(r->load->diags, mode->loc, "services.%s has both network_mode and networks; keep one", r->name);
  undefined_keys(r, "network", networks);
}

static void check_health(const struct referee *r) {
  const struct bt_yaml *test = bt_yaml_get(attr(r, "healthcheck"), "test");
  if (!test || test->kind != BT_YAML_SEQ || !test->seq.len)
    return;
  const char *first = text_of(test->seq.items[0]);
  if (!bt_streq(first, "CMD") && !bt_streq(first, "CMD-SHELL") && !bt_streq(first, "NONE"))
    bt_diag_error(r->load->diags, test->loc,
                  "services.%s.healthcheck.test must begin with \"CMD\", \"CMD-SHELL\" or \"NONE\", not \"%.40s\"", r->name,
                  first);
}

static long long int_of(const struct bt_yaml *n, long long otherwise) {
  long long v;
  return n && bt_value_int(n, &v) ? v : otherwise;
}

static void check_counts(const struct referee *r) {
  const struct bt_yaml *scale = attr(r, "scale"), *replicas = bt_yaml_get(attr(r, "deploy"), "replicas");
  const struct bt_yaml *count = scale ? scale : replicas, *name = attr(r, "container_name");
  if (count && int_of(count, 0) < 0)
    bt_diag_error(r->load->diags, count->loc, "services.%s: the number of replicas must be 0 or more, not %lld", r->name,
                  int_of(count, 0));
  if (count && int_of(count, 0) > BT_REPLICAS_MOST)
    bt_diag_error(r->load->diags, count->loc, "services.%s: the number of replicas is %lld, and may be %d; make it several services", r->name,
                  int_of(count, 0), BT_REPLICAS_MOST);
  if (name && int_of(count, 1) > 1)
    bt_diag_error(r->load->diags, name->loc,
                  "services.%s has container_name and %lld replicas, but a name is one container's; remove one of them",
                  r->name, int_of(count, 1));
}

/* What no machine has is a slip. */
static void check_reserved(const struct referee *r) {
  const struct bt_yaml *n = bt_yaml_get(bt_yaml_get(bt_yaml_get(attr(r, "deploy"), "resources"), "reservations"), "memory");
  int64_t bytes;
  if (n && n->text && bt_size_parse(n->text, &bytes) && bytes > RESERVED_MOST)
    bt_diag_error(r->load->diags, n->loc, "services.%s reserves %lld GiB of memory; that is more than any machine has", r->name, (long long)(bytes >> 30));
}

static void check_cpus(const struct referee *r) {
  const struct bt_yaml *resources = bt_yaml_get(attr(r, "deploy"), "resources");
  const struct bt_yaml *const said[] = {attr(r, "cpus"), bt_yaml_get(bt_yaml_get(resources, "limits"), "cpus"), bt_yaml_get(bt_yaml_get(resources, "reservations"), "cpus")};
  for (size_t i = 0; i < BT_COUNT(said); i++) {
    double v;
    if (said[i] && bt_value_float(said[i], &v) && v < 0)
      bt_diag_error(r->load->diags, said[i]->loc, "services.%s: cpus must be 0 or more, not %g", r->name, v);
  }
}

/* A limit that is said in two places must be the same in both. */
static void check_twice(const struct referee *r, const char *key, const char *group, const char *inner) {
  const struct bt_yaml *here = attr(r, key);
  const struct bt_yaml *there = bt_yaml_get(bt_yaml_get(bt_yaml_get(attr(r, "deploy"), "resources"), group), inner);
  if (!here || !there)
    return;
  BT_AUTO_FREE char *a = bt_compose_scalar_text(here), *b = bt_compose_scalar_text(there);
  if (!bt_streq(a, b))
    bt_diag_error(r->load->diags, here->loc, "services.%s: %s is %s but deploy.resources.%s.%s is %s; keep one of them",
                  r->name, key, a, group, inner, b);
}

static void check_target(const struct referee *r, struct bt_map *taken, const char *target, const char *list, size_t i,
                         struct bt_loc loc) {
  if (!*target)
    return;
  const char *other = bt_map_get(taken, target);
  if (other)
    bt_diag_error(r->load->diags, loc, "services.%s.%s[%zu]: \"%.80s\" is mounted already by %s", r->name, list, i, target,
                  other);
  else
    bt_map_set(taken, target, bt_asprintf("%s[%zu]", list, i));
}

static void check_targets(const struct referee *r) {
  BT_AUTO_MAP taken = bt_map_new(free);
  const struct bt_yaml *tmpfs = attr(r, "tmpfs"), *volumes = attr(r, "volumes");
  for (size_t i = 0; tmpfs && tmpfs->kind == BT_YAML_SEQ && i < tmpfs->seq.len; i++) {
    const char *text = text_of(tmpfs->seq.items[i]);
    BT_AUTO_FREE char *target = bt_strndup(text, strcspn(text, ":"));
    check_target(r, taken, target, "tmpfs", i, tmpfs->seq.items[i]->loc);
  }
  for (size_t i = 0; volumes && volumes->kind == BT_YAML_SEQ && i < volumes->seq.len; i++)
    check_target(r, taken, text_of(bt_yaml_get(volumes->seq.items[i], "target")), "volumes", i, volumes->seq.items[i]->loc);
}

static void check_contexts(const struct referee *r) {
  const struct bt_yaml *all = bt_yaml_get(attr(r, "build"), "additional_contexts");
  if (all && all->kind == BT_YAML_MAP)
    bt_vec_each(&all->map, pair)
      if (bt_starts(text_of(pair->value), "service:"))
        undefined(r, "service", pair->value->text + 8, pair->value->loc);
}

static void check_route_secret(void *arg, const struct bt_yaml *name) { undefined(arg, "secret", name->text, name->loc); }

static void check_service(const struct referee *r) {
  check_build(r);
  check_image(r);
  check_contexts(r);
  check_network(r);
  check_health(r);
  undefined_sources(r, "volume", attr(r, "volumes"));
  undefined_sources(r, "secret", attr(r, "secrets"));
  undefined_sources(r, "secret", bt_yaml_get(attr(r, "build"), "secrets"));
  undefined_sources(r, "config", attr(r, "configs"));
  bt_xberth_route_secrets(r->service, check_route_secret, (void *)(uintptr_t)r);
  undefined_keys(r, "model", attr(r, "models"));
  check_counts(r);
  check_reserved(r);
  check_cpus(r);
  check_twice(r, "cpus", "limits", "cpus");
  check_twice(r, "mem_limit", "limits", "memory");
  check_twice(r, "mem_reservation", "reservations", "memory");
  check_twice(r, "pids_limit", "limits", "pids");
  check_targets(r);
}

/* ---- between services ---- */

static void check_names(struct bt_load *load, const struct bt_yaml *services) {
  BT_AUTO_MAP taken = bt_map_new(NULL);
  bt_vec_each(&services->map, pair) {
    const struct bt_yaml *name = bt_yaml_get(pair->value, "container_name");
    if (!name || !name->text)
      continue;
    const char *other = bt_map_get(taken, name->text);
    if (other)
      bt_diag_error(load->diags, name->loc, "services.%s.container_name \"%.60s\" is taken by services.%s already", pair->key,
                    name->text, other);
    bt_map_set(taken, name->text, pair->key);
  }
}

/* Names of the services that this one waits for and that are still in the way. */
static const struct bt_yaml_pair *first_in(const struct bt_yaml *service, const struct bt_map *left) {
  const struct bt_yaml *all = bt_yaml_get(service, "depends_on");
  if (all && all->kind == BT_YAML_MAP)
    bt_vec_each(&all->map, pair)
      if (bt_map_get(left, pair->key))
        return pair;
  return NULL;
}

/* From a service on a way that never ends: the circle it runs into. */
static void tell_cycle(struct bt_load *load, const struct bt_map *left, const char *start) {
  BT_AUTO_MAP seen = bt_map_new(NULL);
  const char *name = start;
  while (!bt_map_get(seen, name)) {
    bt_map_set(seen, name, seen);
    name = first_in(bt_map_get(left, name), left)->key;
  }
  BT_AUTO_BUF b = {0};
  const char *first = name;
  struct bt_loc loc = {0};
  do {
    const struct bt_yaml_pair *next = first_in(bt_map_get(left, name), left);
    if (!b.len)
      loc = next->loc;
    if (b.len < 2000)
      bt_buf_addf(&b, "%s -> ", name);
    name = next->key;
  } while (!bt_streq(name, first));
  bt_diag_error(load->diags, loc, "services depend on each other in a circle: %s%s", b.data, first);
}

/* Who waits for whom, by number. */
struct waits {
  const struct bt_yaml *services;
  struct bt_map *index; /* NAME -> number plus one */
  size_t *open;         /* for how many each still waits */
  BT_VEC(size_t) * who; /* who waits for each */
};

/* The number of a service, or -1 where it is none of these. */
static long number_of(const struct waits *w, const char *name) { return (long)(intptr_t)bt_map_get(w->index, name) - 1; }

static void gather_waits(struct waits *w) {
  for (size_t i = 0; i < w->services->map.len; i++)
    bt_map_set(w->index, w->services->map.items[i].key, (void *)(intptr_t)(i + 1));
  for (size_t i = 0; i < w->services->map.len; i++) {
    const struct bt_yaml *all = bt_yaml_get(w->services->map.items[i].value, "depends_on");
    for (size_t j = 0; all && all->kind == BT_YAML_MAP && j < all->map.len; j++) {
      long on = number_of(w, all->map.items[j].key);
      if (on < 0)
        continue;
      bt_vec_push(&w->who[on], i);
      w->open[i]++;
    }
  }
}

/* A service is out of the way once all that it waits for is; who stays waits for itself. Each wait is looked at once. */
static struct bt_map *who_stays(struct waits *w) {
  struct bt_map *left = bt_map_new(NULL); /* NAME -> its tree */
  BT_VEC(size_t) ready = {0};
  for (size_t i = 0; i < w->services->map.len; i++) {
    bt_map_set(left, w->services->map.items[i].key, w->services->map.items[i].value);
    if (!w->open[i])
      bt_vec_push(&ready, i);
  }
  while (ready.len) {
    size_t done = ready.items[--ready.len];
    bt_map_del(left, w->services->map.items[done].key);
    bt_vec_each(&w->who[done], i) if (--w->open[*i] == 0) bt_vec_push(&ready, *i);
  }
  bt_vec_free(&ready);
  return left;
}

static void check_cycles(struct bt_load *load, const struct bt_yaml *services) {
  size_t n = services->map.len;
  BT_AUTO_MAP index = bt_map_new(NULL);
  struct waits w = {services, index, bt_newn(size_t, n + 1), bt_calloc(n + 1, sizeof *w.who)};
  gather_waits(&w);
  BT_AUTO_MAP left = who_stays(&w);
  struct bt_map_iter it = bt_map_iter(left);
  if (bt_map_next(&it))
    tell_cycle(load, left, it.key);
  for (size_t i = 0; i < n; i++)
    bt_vec_free(&w.who[i]);
  free(w.who);
  free(w.open);
}

/* All names that services may refer to. */
static struct bt_map *index_names(const struct bt_yaml *tree) {
  static const char *const kinds[] = {"services", "networks", "volumes", "secrets", "configs", "models"};
  struct bt_map *defined = bt_map_new(NULL);
  for (size_t i = 0; i < BT_COUNT(kinds); i++) {
    const struct bt_yaml *map = bt_yaml_get(tree, kinds[i]);
    for (size_t j = 0; map && map->kind == BT_YAML_MAP && j < map->map.len; j++) {
      BT_AUTO_FREE char *key = bt_asprintf("%s/%s", kinds[i], map->map.items[j].key);
      bt_map_set(defined, key, defined);
    }
  }
  return defined;
}

int bt_compose_check_references(struct bt_load *load, const struct bt_yaml *tree) {
  size_t before = load->diags->errors;
  const struct bt_yaml *services = bt_yaml_get(tree, "services");
  if (!services || services->kind != BT_YAML_MAP)
    return 0;
  BT_AUTO_MAP defined = index_names(tree);
  bt_vec_each(&services->map, pair) {
    struct referee r = {load, defined, tree, pair->key, pair->value};
    check_service(&r);
  }
  check_names(load, services);
  check_cycles(load, services);
  return load->diags->errors > before ? -1 : 0;
}
