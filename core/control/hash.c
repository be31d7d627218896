#include "config.h"

#include <sodium.h>
#include <stdlib.h>

#include "control/internal.h"
#include "model/inplace.h"

/* The hash of a spec tells whether a container is still what its service asks for: equal hash, equal container. It is made of the
 * model's canonical text, the pinned image, contents, and of what this build makes of them. A later build may make something else of
 * the same spec (a default that it spells out, an attribute that it learned), so hashes that two builds made are never compared. */

static void copy_key(json_t *to, const char *key, const json_t *from, const char *from_key) {
  json_t *value = json_object_get(from, from_key);
  if (value && !json_is_null(value))
    json_object_set(to, key, value);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* What of a service does not change its container. frame: without what an engine changes in place, either. */
static json_t *hashed_service(const struct bt_service *s, bool frame) {
  static const char *const out[] = {"depends_on", "scale", "profiles", "pull_policy", "build", "image", "deploy", "attach", "develop"};
  json_t *copy = frame ? bt_inplace_rest(s->json) : json_copy(s->json), *resources = json_incref(bt_json_obj(bt_json_obj(copy, "deploy"), "resources"));
  for (size_t i = 0; i < BT_COUNT(out); i++)
    json_object_del(copy, out[i]);
  const char *key;
  void *tmp;
  json_t *value;
  json_object_foreach_safe(copy, tmp, key, value) if (bt_starts(key, "x-")) json_object_del(copy, key);
  if (resources)
    bt_json_set(copy, "deploy.resources", resources);
  return copy;
}

static void add_fingerprints(json_t *input, const struct ctl_spec *spec) {
  const struct bt_service *s = spec->service;
  json_t *prints = json_object();
  bt_vec_each(&s->secrets, grant) {
    BT_AUTO_FREE char *name = bt_asprintf("secrets/%s", grant->source);
    copy_key(prints, name, bt_json_obj(spec->rev->contents, name), "fingerprint");
  }
  bt_vec_each(&s->configs, grant) {
    BT_AUTO_FREE char *name = bt_asprintf("configs/%s", grant->source);
    copy_key(prints, name, bt_json_obj(spec->rev->contents, name), "fingerprint");
  }
  bt_json_set(input, "contents", prints);
}

/* The aliases that links of others give it. */
static void add_link_aliases(json_t *input, const struct ctl_spec *spec) {
  json_t *aliases = json_array();
  ctl_link_aliases(spec, aliases);
  if (json_array_size(aliases))
    json_object_set(input, "links", aliases);
  json_decref(aliases);
}

/* In order: the file's order of networks makes no other container. */
static void add_networks(json_t *input, const struct ctl_spec *spec) {
  size_t n = 0;
  BT_AUTO_FREE char **names = bt_newn(char *, spec->service->networks.len + 1);
  bt_vec_each(&spec->service->networks, use) {
    bool external;
    names[n++] = ctl_network_name(spec->rev, use->network, &external);
  }
  qsort(names, n, sizeof *names, by_name);
  json_t *networks = json_array();
  for (size_t i = 0; i < n; i++) {
    json_array_append_new(networks, json_string(names[i]));
    free(names[i]);
  }
  bt_json_set(input, "networks", networks);
}

static char *made_now(const struct ctl_spec *spec, const char *image, bool frame) {
  static const char *const parts[] = {"mounts", "secrets", "configs", "ports", "ingress", "network_mode", "restart", "job",
                                      "probes", "stop_grace_ms", "hooks"};
  BT_AUTO_JSON cls = spec->cls ? json_incref(spec->cls) : ctl_class_new(spec);
  BT_AUTO_JSON input = json_object();
  for (size_t i = 0; i < BT_COUNT(parts); i++)
    copy_key(input, parts[i], cls, parts[i]);
  bt_json_set(input, "service", hashed_service(spec->service, frame));
  bt_json_set_str(input, "image", image);
  if (spec->rev->salt)
    bt_json_set_int(input, "salt", spec->rev->salt);
  add_fingerprints(input, spec);
  add_link_aliases(input, spec);
  add_networks(input, spec);
  BT_AUTO_FREE char *text = bt_json_canonical(input);
  unsigned char digest[16];
  crypto_generichash(digest, sizeof digest, (const unsigned char *)text, strlen(text), NULL, 0);
  char hex[2 * sizeof digest + 1];
  return bt_strdup(sodium_bin2hex(hex, sizeof hex, digest, sizeof digest));
}

/* As this build makes it for that image: to be compared with others that the same process made, only. */
static char *as_made_now(const struct ctl_spec *spec, const char *image) { return made_now(spec, image, false); }

const char *ctl_hash_frame(struct ctl_spec *spec) {
  if (!spec->frame)
    spec->frame = made_now(spec, spec->pinned, true);
  return spec->frame;
}

bool ctl_hash_same_frame(const struct ctl_spec *a, const struct ctl_spec *b) {
  BT_AUTO_FREE char *one = made_now(a, "", true), *other = made_now(b, "", true);
  return bt_streq(one, other);
}

/* A container whose spec is the same keeps its hash, also where an earlier build made it and would now make another one. */
char *ctl_hash(const struct ctl_spec *spec) {
  BT_AUTO_FREE char *now = as_made_now(spec, spec->pinned);
  const struct ctl_service *service = ctl_service_find(spec->rev->app, spec->service->name);
  const struct ctl_spec *last = spec;
  if (service)
    bt_vec_each(&service->insts, i) {
      const struct ctl_spec *other = (*i)->spec;
      if (other == spec || other == last || !other->hash)
        continue;
      last = other;
      BT_AUTO_FREE char *theirs = as_made_now(other, other->pinned);
      if (bt_streq(now, theirs))
        return bt_strdup(other->hash);
    }
  return bt_steal(now);
}

/* Whether nothing but their own models can make the hashes of two revisions' services differ: almost always so, and hashes of all
 * services of a large app would take long. */
static bool same_around(const struct ctl_rev *a, const struct ctl_rev *b) {
  static const char *const parts[] = {"networks", "volumes", "secrets", "configs"};
  for (size_t i = 0; i < BT_COUNT(parts); i++) {
    const json_t *x = json_object_get(a->model, parts[i]), *y = json_object_get(b->model, parts[i]);
    if (x != y && !bt_json_equal(x, y))
      return false;
  }
  return a->salt == b->salt && bt_json_equal(a->contents, b->contents) && ctl_rev_same_links(a, b);
}

void ctl_hash_plan(json_t *plan, const struct ctl_rev *from, const struct ctl_rev *to) {
  size_t i;
  json_t *e;
  if (same_around(from, to))
    return;
  json_array_foreach(plan, i, e) {
    const char *action = bt_json_str(e, "action"), *name = bt_json_str(e, "name");
    bool keep = bt_streq(action, "keep");
    if (!bt_streq(bt_json_str(e, "kind"), "service") || !(keep || bt_streq(action, "scale")))
      continue;
    const struct ctl_spec *old = ctl_spec_find(from, name), *new = ctl_spec_find(to, name);
    BT_AUTO_FREE char *was = old ? as_made_now(old, "") : NULL, *is = new ? as_made_now(new, "") : NULL;
    if (!was || !is || bt_streq(was, is))
      continue;
    const char *why = from->salt != to->salt ? "its containers are made anew, as they were at that revision"
                                             : "networks or volumes that it uses, or links to it, changed";
    BT_AUTO_FREE char *reason = keep ? bt_strdup(why) : bt_asprintf("%s; %s", bt_json_str(e, "reason"), why);
    bt_json_set_str(e, "action", "update");
    bt_json_set_str(e, "reason", reason);
  }
}
