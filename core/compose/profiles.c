/* Which services are meant: those without profiles and those of a profile that was asked for. */
#include "config.h"

#include "base/mem.h"
#include "base/nearest.h"
#include "compose/files.h"
#include "compose/internal.h"
#include "compose/xberth.h"

static bool wanted(const struct bt_load *load, const struct bt_yaml *service) {
  const struct bt_yaml *profiles = bt_yaml_get(service, "profiles");
  if (!profiles || profiles->kind != BT_YAML_SEQ || !profiles->seq.len)
    return true;
  bt_vec_each(&load->profiles, asked) {
    if (bt_streq(*asked, "*"))
      return true;
    for (size_t i = 0; i < profiles->seq.len; i++)
      if (bt_streq(profiles->seq.items[i]->text, *asked))
        return true;
  }
  return false;
}

/* What a service that runs waits for must be defined, and must run too where it is required. */
static void check_dependency(struct bt_load *load, const char *name, const struct bt_map *services,
                             const struct bt_yaml_pair *on) {
  const struct bt_yaml *other = bt_map_get(services, on->key), *required = bt_yaml_get(on->value, "required");
  if (!other) {
    struct bt_nearest near = bt_nearest_start(on->key);
    struct bt_map_iter it = bt_map_iter(services);
    while (!bt_diags_full(load->diags) && bt_map_next(&it))
      bt_nearest_try(&near, it.key);
    char hint[96];
    bt_diag_error(load->diags, on->loc, "services.%s depends on \"%.60s\", which is no service of this file%s", name, on->key,
                  bt_nearest_hint(near.best, hint));
  } else if (!load->options->keep_inactive && !wanted(load, other) &&
             (!required || required->boolean)) {
    const struct bt_yaml *profiles = bt_yaml_get(other, "profiles");
    bt_diag_error(load->diags, on->loc,
                  "services.%s depends on \"%s\", which is only there with profile \"%s\"; ask for the profile, or say "
                  "\"required: false\"",
                  name, on->key, profiles->seq.items[0]->text);
  }
}

static void check_dependencies(struct bt_load *load, const struct bt_yaml *services) {
  BT_AUTO_MAP all_services = bt_map_new(NULL);
  bt_vec_each(&services->map, pair) bt_map_set(all_services, pair->key, pair->value);
  bt_vec_each(&services->map, pair) {
    const struct bt_yaml *all = bt_yaml_get(pair->value, "depends_on");
    if ((load->options->keep_inactive || wanted(load, pair->value)) && all && all->kind == BT_YAML_MAP)
      bt_vec_each(&all->map, on) check_dependency(load, pair->key, all_services, on);
  }
}

/* Tries the profiles of all services for the one that was asked for; true: some service has it. */
static bool some_has(const struct bt_yaml *services, const char *asked, struct bt_nearest *near) {
  bt_vec_each(&services->map, pair) {
    const struct bt_yaml *profiles = bt_yaml_get(pair->value, "profiles");
    for (size_t i = 0; profiles && profiles->kind == BT_YAML_SEQ && i < profiles->seq.len; i++) {
      if (bt_streq(profiles->seq.items[i]->text, asked))
        return true;
      bt_nearest_try(near, profiles->seq.items[i]->text);
    }
  }
  return false;
}

/* A profile that no service has turns nothing on: most likely a slip. The reference is silent, and goes on; so it is no error. */
static void warn_unknown(struct bt_load *load, const struct bt_yaml *services) {
  enum { most_told = 20 };
  for (size_t i = 0; i < load->profiles.len && i < most_told; i++) {
    const char *asked = load->profiles.items[i];
    struct bt_nearest near = bt_nearest_start(asked);
    char hint[96];
    if (!bt_streq(asked, "*") && !some_has(services, asked, &near))
      bt_diag_warn(load->diags, (struct bt_loc){0}, "no service has the profile \"%.60s\", so it turns nothing on%s", asked,
                   bt_nearest_hint(near.best, hint));
  }
}

static void drop_inactive(struct bt_load *load, struct bt_yaml *services) {
  size_t kept = 0;
  for (size_t i = 0; i < services->map.len; i++) {
    struct bt_yaml_pair *pair = &services->map.items[i];
    if (wanted(load, pair->value)) {
      services->map.items[kept++] = *pair;
      continue;
    }
    free(pair->key);
    bt_yaml_free(&pair->value);
  }
  services->map.len = kept;
}

/* ---- resources that nobody uses ---- */

static void note(struct bt_map *used, const char *kind, const char *name) {
  BT_AUTO_FREE char *key = bt_asprintf("%s/%s", kind, name);
  bt_map_set(used, key, used);
}

static void note_keys(struct bt_map *used, const char *kind, const struct bt_yaml *map) {
  if (map && map->kind == BT_YAML_MAP)
    bt_vec_each(&map->map, pair) note(used, kind, pair->key);
}

static void note_sources(struct bt_map *used, const char *kind, const struct bt_yaml *list) {
  for (size_t i = 0; list && list->kind == BT_YAML_SEQ && i < list->seq.len; i++) {
    const struct bt_yaml *item = list->seq.items[i], *source = bt_yaml_get(item, "source");
    const struct bt_yaml *type = bt_yaml_get(item, "type");
    if (source && source->text && (!type || bt_streq(type->text, "volume")))
      note(used, kind, source->text);
  }
}

static void note_route_secret(void *used, const struct bt_yaml *name) { note(used, "secrets", name->text); }

static void drop_unused(struct bt_yaml *tree) {
  static const char *const kinds[] = {"networks", "volumes", "secrets", "configs", "models"};
  BT_AUTO_MAP used = bt_map_new(NULL);
  const struct bt_yaml *services = bt_yaml_get(tree, "services");
  if (services && services->kind == BT_YAML_MAP)
    bt_vec_each(&services->map, pair) {
      note_keys(used, "networks", bt_yaml_get(pair->value, "networks"));
      note_keys(used, "models", bt_yaml_get(pair->value, "models"));
      note_sources(used, "volumes", bt_yaml_get(pair->value, "volumes"));
      note_sources(used, "secrets", bt_yaml_get(pair->value, "secrets"));
      note_sources(used, "secrets", bt_yaml_get(bt_yaml_get(pair->value, "build"), "secrets"));
      note_sources(used, "configs", bt_yaml_get(pair->value, "configs"));
      bt_xberth_route_secrets(pair->value, note_route_secret, used);
    }
  for (size_t i = 0; i < BT_COUNT(kinds); i++) {
    struct bt_yaml *map = bt_yaml_get(tree, kinds[i]);
    size_t kept = 0;
    for (size_t j = 0; map && map->kind == BT_YAML_MAP && j < map->map.len; j++) {
      struct bt_yaml_pair *pair = &map->map.items[j];
      BT_AUTO_FREE char *key = bt_asprintf("%s/%s", kinds[i], pair->key);
      if (bt_map_get(used, key)) {
        map->map.items[kept++] = *pair;
      } else {
        free(pair->key);
        bt_yaml_free(&pair->value);
      }
    }
    if (!map || map->kind != BT_YAML_MAP)
      continue;
    map->map.len = kept;
    if (kept)
      continue;
    struct bt_yaml *empty = bt_yaml_take(tree, kinds[i]);
    bt_yaml_free(&empty);
  }
}

int bt_compose_profiles(struct bt_load *load, struct bt_yaml *tree) {
  size_t before = load->diags->errors;
  struct bt_yaml *services = bt_yaml_get(tree, "services");
  if (services && services->kind == BT_YAML_MAP) {
    check_dependencies(load, services);
    warn_unknown(load, services);
    if (!load->options->keep_inactive)
      drop_inactive(load, services);
  }
  drop_unused(tree);
  int rc = load->diags->errors > before ? -1 : 0;
  /* a file that cannot be read ends the load too, but the checks that follow still have something to say */
  bt_compose_read_variables(load, tree);
  bt_compose_read_contents(load, tree);
  return rc;
}
