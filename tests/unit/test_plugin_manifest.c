/* Manifests: arrays of plug-ins that were built with other headers, what is refused, the way to JSON and back, ranges of versions;
 * and the descriptions of the interfaces, held against the headers. */
#include "config.h"

#include <berth/chat.h>
#include <berth/host.h>
#include <stdint.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "plugin/describe.h"
#include "plugin/manifest.h"
#include "tap.h"

/* A field as a header of the future may have it. */
struct wide_field {
  struct berth_field field;
  const char *example;
};

static const struct berth_chat chat = {.size = sizeof chat};
static const struct berth_interface interfaces[] = {{BERTH_CHAT, &chat}, {"berth.future/1", &chat}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, NULL};
static const struct berth_field fields[] = {{.name = "a", .type = BERTH_INT, .fallback = "3", .doc = "A.", .min = 1, .max = 9},
                                            {.name = "b", .type = BERTH_STRING, .secret = true, .required = true, .doc = "B."},
                                            {0}};

static struct berth_manifest manifest(void) {
  return (struct berth_manifest){BERTH_MANIFEST_SIZES,
                                 .id = "chat-x",
                                 .version = "1.2.3",
                                 .summary = "X.",
                                 .license = "MIT",
                                 .interfaces = interfaces,
                                 .needs = needs,
                                 .config = fields};
}

static void test_strides(void) {
  BT_AUTO_ERR err = NULL;
  const struct wide_field wide[] = {{{.name = "a", .doc = "A."}, "x"}, {{.name = "b", .doc = "B."}, "y"}, {{0}, NULL}};
  struct berth_manifest m = manifest();
  m.config = &wide[0].field;
  m.field_size = sizeof wide[0];
  struct bt_manifest *own = bt_manifest_take(&m, "x", &err);
  ok(own && own->m.config[1].name && !strcmp(own->m.config[1].name, "b") && !own->m.config[2].name,
     "larger fields of a newer header are read");
  bt_manifest_free(&own);
  m = manifest();
  m.size = offsetof(struct berth_manifest, field_size); /* an older header: no sizes, and what follows is not there */
  m.field_size = 4;
  m.depends = (const void *)8;
  own = bt_manifest_take(&m, "x", &err);
  ok(own && !strcmp(own->m.config[1].name, "b") && !own->m.depends, "a manifest of the first version is read");
  bt_manifest_free(&own);
  m = manifest();
  m.field_size = 12;
  ok(!bt_manifest_take(&m, "x", &err), "elements that are smaller than the first version are refused");
}

static void refused(const struct berth_manifest *m, const char *why) {
  BT_AUTO_ERR err = NULL;
  ok(!bt_manifest_take(m, "x", &err), "refused");
  if (!strstr(bt_err_message(err), why))
    printf("# got: %s\n", bt_err_message(err));
  ok(strstr(bt_err_message(err), why) != NULL, "it says: %s", why);
}

static void test_others(void) {
  BT_AUTO_ERR err = NULL;
  const struct berth_depend depends[] = {{"berth.registry/1", NULL, false, "to know images"}, {"scm-git", ">=1.2 <2", true, NULL}, {0}};
  const char *const exclusive[] = {"route.ingress", NULL}, *const conflicts[] = {"lb-caddy", NULL};
  const struct berth_product products[] = {{"haproxy", ">=2.4", "HAProxy"}, {0}};
  struct berth_manifest m = manifest();
  m.depends = depends;
  m.exclusive = exclusive;
  m.conflicts = conflicts;
  m.products = products;
  m.isolation = BERTH_ISOLATION_PROCESS;
  struct bt_manifest *own = bt_manifest_take(&m, "x", &err);
  ok(own != NULL, "a manifest with everything");
  BT_AUTO_JSON json = own ? bt_manifest_json(&own->m) : NULL;
  struct bt_manifest *read = bt_manifest_read(json, "x", &err);
  ok(read != NULL, "read from JSON");
  BT_AUTO_JSON again = read ? bt_manifest_json(&read->m) : NULL;
  ok(read && bt_json_equal(json, again), "and the same as before");
  ok(read && read->m.isolation == BERTH_ISOLATION_PROCESS && read->m.depends[1].optional && !read->m.depends[2].id,
     "with its members");
  bt_manifest_free(&read);
  bt_manifest_free(&own);
  const struct berth_depend bad_range[] = {{"scm-git", "about 2", false, NULL}, {0}};
  m.depends = bad_range;
  refused(&m, "it depends on \"scm-git\"");
  const struct berth_depend bad_id[] = {{"git", NULL, false, NULL}, {0}};
  m.depends = bad_id;
  refused(&m, "it depends on \"git\"");
  m.depends = NULL;
  const char *const role[] = {"Route Ingress", NULL};
  m.exclusive = role;
  refused(&m, "its list of roles holds \"Route Ingress\"");
}

static void test_hostile_json(void) {
  static const char *const texts[] = {"[]",
                                      "{}",
                                      "{\"id\":\"a-b\",\"abi\":1}",
                                      "{\"id\":7,\"abi\":\"1\",\"interfaces\":{}}",
                                      ("{\"abi\":1,\"id\":\"a-b\",\"version\":\"1.0.0\",\"summary\":\"\",\"license\":\"\","
                                       "\"interfaces\":[7,{\"id\":\"berth.chat/1\",\"methods\":[1,\"x\"]}],\"config\":[7]}"),
                                      "{\"abi\":2,\"id\":\"a-b\"}"};
  for (size_t i = 0; i < BT_COUNT(texts); i++) {
    BT_AUTO_ERR err = NULL;
    BT_AUTO_JSON json = json_loads(texts[i], 0, NULL);
    struct bt_manifest *m = bt_manifest_read(json, "x", &err);
    ok(!m && *bt_err_message(err), "refused with a sentence: %s", texts[i]);
  }
}

static void test_versions(void) {
  ok(bt_version_in("1.41", ">=1.40 <2"), "1.41 is in >=1.40 <2");
  ok(!bt_version_in("2.0", ">=1.40 <2") && !bt_version_in("1.9.9", ">=1.40 <2"), "2.0 and 1.9.9 are not");
  ok(bt_version_in("20.10.24+dfsg1", ">=20"), "what follows is not looked at");
  ok(bt_version_in("3", "3.0.0") && bt_version_in("3.0.0", "=3") && !bt_version_in("3.0.1", "3"), "equal");
  ok(bt_version_in("x", NULL), "no range: any");
  ok(!bt_version_in("x", ">=1"), "no version is in no range");
  static const char *const bad[] = {"", " ", ">", ">=a", "1.2.3.4", ">=1,<2", "~1", ">=1 and <2", ">=99999999999999999999"};
  for (size_t i = 0; i < BT_COUNT(bad); i++)
    ok(!bt_version_range_ok(bad[i]), "no range: \"%s\"", bad[i]);
}

static size_t size_of(const struct bt_arg *a) {
  switch (a->kind) {
  case BT_ARG_INT32:
    return 4;
  case BT_ARG_BOOL:
    return 1;
  case BT_ARG_BYTES:
  case BT_ARG_BLOBS:
    return sizeof(void *) + sizeof(size_t);
  default:
    return 8;
  }
}

/* Every member of the struct is described: what lies between two is padding only. */
static bool covered(const struct bt_method *m) {
  size_t at = sizeof(size_t);
  for (const struct bt_arg *a = m->args; a->name; a++) {
    size_t align = a->kind == BT_ARG_BYTES || a->kind == BT_ARG_BLOBS ? 8 : size_of(a);
    if (a->offset != (at + align - 1) / align * align)
      return false;
    at = a->offset + size_of(a);
  }
  return (at + 7) / 8 * 8 == m->size;
}

static void test_descriptions(void) {
  const struct bt_interface *interface;
  for (size_t i = 0; (interface = bt_interface_at(i)); i++) {
    size_t slot = sizeof(size_t);
    bool all = true;
    for (const struct bt_method *m = interface->methods; m->name; m++, slot += sizeof(void *)) {
      all &= m->slot == slot;
      if (m->shape == BT_SHAPE_REQUEST)
        ok(covered(m), "%s.%s: its request is described", interface->word, m->name);
    }
    ok(all && slot == interface->size, "%s: every method is described", interface->id);
    ok(bt_interface_of(interface->id) == interface && interface->min <= interface->size, "%s is found", interface->id);
  }
}

int main(void) {
  test_strides();
  test_others();
  test_hostile_json();
  test_versions();
  test_descriptions();
  return done_testing();
}
