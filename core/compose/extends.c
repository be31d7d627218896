#include "config.h"

#include "base/file.h"
#include "compose/stages.h"

enum { max_chain = 64 };

/* The services that led to the one at hand. */
struct chain {
  const char *file, *service; /* file: interned */
  struct bt_loc loc;          /* of its extends */
  const struct chain *up;
  int length;
};

/* A file whose services extend each other. */
struct scope {
  struct bt_model *model;
  struct bt_yaml *services;
  const char *file; /* interned */
  const struct bt_reset *reset;
};

struct reference {
  const char *service, *file; /* file: NULL where it is the same */
  struct bt_loc loc;
};

static struct bt_diags *diags_of(const struct scope *s) { return s->model->load->diags; }

static int read_reference(const struct scope *s, const char *name, const struct bt_yaml *extends, struct reference *ref) {
  const struct bt_yaml *service = extends, *file = NULL;
  if (extends->kind == BT_YAML_MAP) {
    service = bt_yaml_get(extends, "service");
    file = bt_yaml_get(extends, "file");
  }
  if (!service || service->kind != BT_YAML_STR || (file && file->kind != BT_YAML_STR && file->kind != BT_YAML_NULL)) {
    bt_diag_error(diags_of(s), extends->loc, "services.%s.extends wants a service's name, or {service: NAME, file: PATH}", name);
    return -1;
  }
  ref->service = service->text;
  ref->file = file && file->kind == BT_YAML_STR ? file->text : NULL;
  ref->loc = service->loc;
  return 0;
}

static int check_chain(const struct scope *s, const struct chain *link) {
  if (link->length > max_chain) {
    bt_diag_error(diags_of(s), link->loc, "service \"%s\" extends through more than %d services", link->service, max_chain);
    return -1;
  }
  for (const struct chain *c = link->up; c; c = c->up) {
    if (c->file != link->file || strcmp(c->service, link->service))
      continue;
    bt_diag_error(diags_of(s), c->loc, "service \"%s\" extends itself by way of \"%s\" (%s:%d): services cannot extend in a circle",
                  c->service, link->up->service, link->up->loc.file ? link->up->loc.file : "", link->up->loc.line);
    return -1;
  }
  return 0;
}

static struct bt_base *find_base(struct bt_model *model, const struct reference *ref) {
  BT_AUTO_FREE char *path = bt_compose_abs_path(model->load, model->dir, ref->file);
  BT_AUTO_FREE char *clean = bt_path_clean(path);
  struct bt_base *base = bt_map_get(model->bases, clean);
  if (!base) {
    base = bt_compose_load_base(model, clean, ref->loc);
    bt_map_set(model->bases, bt_compose_intern(model->load, clean), base);
  }
  return base;
}

static int resolve(const struct scope *s, struct bt_yaml_pair *service, const struct chain *up);

/* The scope that a reference points into: this one, or another file's. */
static int scope_of(const struct scope *s, const struct reference *ref, struct scope *target) {
  *target = *s;
  if (!ref->file)
    return 0;
  const struct bt_base *base = find_base(s->model, ref);
  if (!base->tree) /* its own errors were told when it was read */
    return -1;
  BT_AUTO_FREE char *path = bt_compose_abs_path(s->model->load, s->model->dir, ref->file);
  BT_AUTO_FREE char *clean = bt_path_clean(path);
  target->file = bt_compose_intern(s->model->load, clean);
  target->reset = &base->reset;
  target->services = bt_yaml_get(base->tree, "services");
  return 0;
}

static void inherit(const struct scope *s, struct bt_yaml_pair *service, const struct bt_yaml *from) {
  struct bt_load *load = s->model->load;
  if (bt_compose_charge(load, from, service->loc))
    return;
  struct bt_yaml *base = bt_yaml_copy(from);
  const char *const prefix[] = {"services", service->key, NULL};
  bt_reset_apply(s->reset, base, prefix);
  struct bt_walk at = {.parts = {"services", service->key}, .len = 2};
  service->value = bt_compose_merge(load, base, service->value, &at);
  struct bt_yaml *extends = bt_yaml_take(service->value, "extends");
  bt_yaml_free(&extends);
}

static void forget(struct bt_yaml_pair *service) {
  struct bt_yaml *extends = bt_yaml_take(service->value, "extends");
  bt_yaml_free(&extends);
}

static int follow(const struct scope *s, struct bt_yaml_pair *service, const struct bt_yaml *extends, const struct chain *up) {
  struct reference ref;
  struct scope target;
  struct chain link = {s->file, service->key, extends->loc, up, up ? up->length + 1 : 1};
  if (read_reference(s, service->key, extends, &ref) || check_chain(s, &link) || scope_of(s, &ref, &target))
    return -1;
  struct bt_yaml_pair *base = bt_yaml_pair(target.services, ref.service);
  if (!base) {
    bt_diag_error(diags_of(s), ref.loc, "cannot extend service \"%s\": there is no service \"%s\" in %s", service->key,
                  ref.service, target.file);
    return -1;
  }
  if (resolve(&target, base, &link))
    return -1;
  if (base->value->kind == BT_YAML_MAP)
    inherit(s, service, base->value);
  else
    forget(service);
  return 0;
}

/* Makes the service whole. Resolving is done in place, so that each service is resolved once, whoever asks. One that cannot be is as if
 * it extended nothing: its error is told, and who else leads to it does not go the whole way again. */
static int resolve(const struct scope *s, struct bt_yaml_pair *service, const struct chain *up) {
  const struct bt_yaml *extends = bt_yaml_get(service->value, "extends");
  if (!extends || extends->kind == BT_YAML_NULL)
    return 0;
  int rc = follow(s, service, extends, up);
  if (rc)
    forget(service);
  return rc;
}

int bt_compose_extends(struct bt_model *model, struct bt_yaml *doc, const char *file, const struct bt_reset *reset) {
  size_t before = model->load->diags->errors;
  struct scope s = {model, bt_yaml_get(doc, "services"), file, reset};
  if (s.services && s.services->kind != BT_YAML_MAP)
    bt_diag_error(model->load->diags, s.services->loc, "services must be a mapping of names to services");
  else if (s.services)
    for (size_t i = 0; i < s.services->map.len; i++)
      (void)resolve(&s, &s.services->map.items[i], NULL); /* errors are counted below */
  return model->load->diags->errors > before ? -1 : 0;
}

void bt_base_free(void *p) {
  struct bt_base *base = p;
  bt_yaml_free(&base->tree);
  bt_reset_free(&base->reset);
  free(base);
}
