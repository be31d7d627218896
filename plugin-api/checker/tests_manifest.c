/* What the plug-in says of itself. Nothing of its code runs but constructors. */
#include "config.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "bench.h"
#include "plugin/loader.h"
#include "report.h"
#include "tests.h"
#include "wire.h"

/* ---------------------------------------------------------------- one member at a time */

static void nothing(struct berth_instance *self, berth_op op) { (void)self, (void)op; }

/* A sound manifest that one member of the plug-in's is put into: what is refused then is that member's fault. */
static struct berth_manifest sound(void) {
  static const struct {
    size_t size;
    void (*first)(struct berth_instance *self, berth_op op);
    void *room[64];
  } table = {.size = sizeof table, .first = nothing};
  static const struct berth_interface interfaces[] = {{"berth.monitor/1", &table}, {0}};
  return (struct berth_manifest){
      BERTH_MANIFEST_SIZES, .id = "check-check", .version = "1.0.0", .summary = "A check.", .license = "MIT", .interfaces = interfaces};
}

static void judge(const struct berth_manifest *m) {
  BT_AUTO_ERR err = NULL;
  struct bt_manifest *taken = bt_manifest_take(m, check_plan.path, &err);
  if (!taken)
    check_fail("%s", bt_err_message(err));
  bt_manifest_free(&taken);
}

/* Of a hello: a sound manifest with these members (a blank between them) of the plug-in's. */
static bool given_hello(struct berth_manifest *m, const char *members) {
  struct berth_manifest good = sound();
  BT_AUTO_JSON json = bt_manifest_json(&good);
  BT_AUTO_FREE char *names = bt_strdup(members);
  BT_AUTO_ERR err = NULL;
  char *save = NULL;
  for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
    json_t *value = json_object_get(json_object_get(check_plan.hello, "manifest"), name);
    if (value)
      json_object_set(json, name, value);
    else
      json_object_del(json, name);
  }
  struct bt_manifest *taken = bt_manifest_read(json, check_plan.path, &err); /* lives as long as the test */
  if (taken)
    *m = taken->m;
  else
    check_fail("%s", bt_err_message(err));
  return taken != NULL;
}

/* The plug-in's manifest, where its struct is sound enough to look at; members that it does not have are zero. */
static bool given(struct berth_manifest *m, const char *members) {
  const struct berth_plugin *p = check_map();
  if (p && check_wire())
    return given_hello(m, members);
  check_step("reading the manifest");
  if (!p)
    return false;
  if (p->size < CHECK_THROUGH(struct berth_plugin, manifest) || !p->manifest || p->manifest->size < CHECK_THROUGH(struct berth_manifest, abi)) {
    check_fail("there is no manifest, or its size is not set");
    return false;
  }
  memset(m, 0, sizeof *m);
  memcpy(m, p->manifest, BT_MIN(p->manifest->size, sizeof *m));
  return true;
}

static const char no_object[] = "it is no shared object: wire.hello stands for this";

static void symbol(const struct check_test *t) {
  (void)t;
  if (check_wire())
    check_skip(no_object);
  else
    check_map();
}

static void abi(const struct check_test *t) {
  (void)t;
  struct berth_manifest m;
  if (given(&m, "abi") && m.abi != BERTH_ABI)
    check_fail("it was built for ABI %u; this checker is of ABI %d: build it with these headers", m.abi, BERTH_ABI);
}

static void sizes(const struct check_test *t) {
  (void)t;
  if (check_wire()) {
    check_skip("it has no structs");
    return;
  }
  const struct berth_plugin *p = check_map();
  struct berth_manifest m;
  if (!p || !given(&m, "abi"))
    return;
  size_t least = CHECK_THROUGH(struct berth_manifest, config), pleast = CHECK_THROUGH(struct berth_plugin, cancel);
  if (p->size < pleast || p->size > 4096)
    check_fail("%s says it has %zu bytes, and has at least %zu: set .size = sizeof", BERTH_PLUGIN_SYMBOL_NAME, p->size, pleast);
  else if (!p->start || !p->stop || !p->cancel)
    check_fail("start, stop or cancel are missing");
  if (m.size < least || m.size > 4096)
    check_fail("the manifest says it has %zu bytes, and has at least %zu: begin it with BERTH_MANIFEST_SIZES", m.size, least);
  if (m.config && !m.field_size)
    check_warn("field_size is not set: with fields appended to berth_field one day, the table could not be read: begin the manifest with "
               "BERTH_MANIFEST_SIZES");
}

static void id(const struct check_test *t) {
  (void)t;
  struct berth_manifest m, good = sound();
  if (!given(&m, "id"))
    return;
  good.id = m.id;
  judge(&good);
  BT_AUTO_FREE char *name = bt_asprintf("/%s.so", m.id ? m.id : "");
  if (m.id && !check_wire() && !bt_ends(check_plan.path, name))
    check_warn("the file is not called %s: the server finds plug-ins by that name", name + 1);
}

static void version(const struct check_test *t) {
  (void)t;
  struct berth_manifest m, good = sound();
  if (!given(&m, "version"))
    return;
  good.version = m.version;
  judge(&good);
}

static bool spdx_ok(const char *s) {
  static const char *const words[] = {"WITH", "AND", "OR"};
  static const char *const common[] = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "0BSD", "Unlicense", "MPL-2.0",
                                       "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "LGPL-2.1-only",
                                       "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "AGPL-3.0-only", "AGPL-3.0-or-later",
                                       "EPL-2.0", "EUPL-1.2", "BSL-1.0", "CC0-1.0", "PostgreSQL", "OpenSSL", "curl", "X11"};
  BT_AUTO_FREE char *copy = bt_strdup(s);
  char *save = NULL;
  bool any = false;
  for (char *word = strtok_r(copy, " ()", &save); word; word = strtok_r(NULL, " ()", &save)) {
    bool known = bt_starts(word, "LicenseRef-");
    for (size_t i = 0; i < BT_COUNT(words); i++)
      known |= strcmp(word, words[i]) == 0;
    for (size_t i = 0; i < BT_COUNT(common); i++)
      known |= strcmp(word, common[i]) == 0;
    if (!known)
      return false;
    any = true;
  }
  return any;
}

static void license(const struct check_test *t) {
  (void)t;
  struct berth_manifest m, good = sound();
  if (!given(&m, "license"))
    return;
  good.license = m.license;
  judge(&good);
  if (m.license && (!*m.license || strspn(m.license, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-+ ()") !=
                                       strlen(m.license)))
    check_fail("\"%.80s\" is no SPDX expression, as \"MIT\" or \"GPL-2.0-or-later\"", m.license);
  else if (m.license && !spdx_ok(m.license))
    check_warn("\"%.80s\" is none of the common SPDX identifiers, as \"MIT\" or \"GPL-2.0-or-later\"", m.license);
}

static void summary(const struct check_test *t) {
  (void)t;
  struct berth_manifest m, good = sound();
  if (!given(&m, "summary"))
    return;
  good.summary = m.summary;
  judge(&good);
  if (m.summary && (strlen(m.summary) < 8 || strlen(m.summary) > 200 || strchr(m.summary, '\n')))
    check_fail("the summary is no sentence on a line: \"%.80s\"", m.summary);
}

/* ---------------------------------------------------------------- interfaces */

/* Those that stand in a hello and that no header has. */
static void unknown_methods(const char *id, const struct bt_interface *known) {
  size_t i, k;
  json_t *interface, *name;
  json_array_foreach(json_object_get(json_object_get(check_plan.hello, "manifest"), "interfaces"), i, interface) {
    if (!bt_streq(bt_json_str(interface, "id"), id))
      continue;
    json_array_foreach(json_object_get(interface, "methods"), k, name) if (!bt_interface_method(known, json_string_value(name)))
        check_warn("%s has no method \"%.60s\"", id, json_string_value(name));
  }
}

static void missing_methods(const struct berth_interface *i, const struct bt_interface *known) {
  for (const struct bt_method *m = known->methods; m->name; m++)
    if (m->slot < known->min && !bt_method_in(m, i->methods))
      check_fail("%s: the method %s is NULL: one that a product cannot do finishes with BERTH_UNSUPPORTED", i->id, m->name);
}

static void interfaces(const struct check_test *t) {
  (void)t;
  struct berth_manifest m, good = sound();
  if (!given(&m, "interfaces"))
    return;
  good.interfaces = m.interfaces;
  judge(&good);
  size_t n = 0;
  for (const struct berth_interface *i = m.interfaces; i && i->id && i->methods && n < BT_MAX_INTERFACES; i++, n++) {
    const struct bt_interface *known = bt_interface_of(i->id);
    size_t size;
    memcpy(&size, i->methods, sizeof size);
    for (size_t k = 0; k < n; k++)
      if (bt_streq(m.interfaces[k].id, i->id))
        check_fail("the interface %s stands twice", i->id);
    if (!known)
      check_warn("the interface %s is unknown to this Berth", i->id);
    else if (size > 4096)
      check_fail("%s: its table says it has %zu bytes: set .size = sizeof", i->id, size);
    else if (check_wire()) /* methods that are not there are answered with unsupported */
      unknown_methods(i->id, known);
    else if (size >= known->min)
      missing_methods(i, known);
  }
}

static void lists(const struct check_test *t) {
  (void)t;
  static const char *const services[] = {BERTH_HOST_OPS,    BERTH_HOST_LOG,     BERTH_HOST_TIMER,  BERTH_HOST_FD,     BERTH_HOST_WORKER,
                                         BERTH_HOST_CHILD,  BERTH_HOST_HTTP,    BERTH_HOST_KV,     BERTH_HOST_SECRET, BERTH_HOST_METRICS,
                                         BERTH_HOST_EVENTS, BERTH_HOST_ROUTES,  BERTH_HOST_QUERY};
  struct berth_manifest m, good = sound();
  if (!given(&m, "needs depends products exclusive conflicts isolation"))
    return;
  good.needs = m.needs;
  good.depends = m.depends;
  good.depend_size = m.depend_size;
  good.products = m.products;
  good.product_size = m.product_size;
  good.exclusive = m.exclusive;
  good.conflicts = m.conflicts;
  good.isolation = m.isolation;
  judge(&good);
  bool ops = false;
  for (size_t i = 0; !check_failed() && m.needs && m.needs[i]; i++) {
    bool known = false;
    ops |= strcmp(m.needs[i], BERTH_HOST_OPS) == 0;
    for (size_t k = 0; k < BT_COUNT(services); k++)
      known |= strcmp(m.needs[i], services[k]) == 0;
    if (!known)
      check_fail("it needs the service %s, which no host of ABI %d has", m.needs[i], BERTH_ABI);
  }
  if (!check_failed() && !ops && !check_wire())
    check_warn("needs does not list %s, which every method wants for its finish", BERTH_HOST_OPS);
}

/* ---------------------------------------------------------------- config */

static bool sounds_secret(const char *name) {
  static const char *const words[] = {"password", "passwd", "passphrase", "secret", "token", "api_key", "apikey", "private_key", "credential"};
  for (size_t i = 0; i < BT_COUNT(words); i++)
    if (strstr(name, words[i]))
      return true;
  return false;
}

static void config(const struct check_test *t) {
  (void)t;
  struct berth_manifest m, good = sound();
  BT_AUTO_ERR err = NULL;
  if (!given(&m, "config"))
    return;
  good.config = m.config;
  good.field_size = m.field_size;
  struct bt_manifest *taken = bt_manifest_take(&good, check_plan.path, &err);
  if (!taken)
    check_fail("%s", bt_err_message(err));
  for (const struct berth_field *f = taken ? taken->m.config : NULL; f && f->name; f++) {
    size_t n = strlen(f->doc);
    if (n < 8 || f->doc[n - 1] != '.' || !(isupper((unsigned char)f->doc[0]) || !isalpha((unsigned char)f->doc[0])))
      check_warn("the doc of %s is no sentence: \"%.60s\"", f->name, f->doc);
    if (sounds_secret(f->name) && !f->secret && f->type != BERTH_INT && f->type != BERTH_BOOL && f->type != BERTH_DURATION)
      check_warn("%s sounds like a secret, and is not marked as one (.secret = true)", f->name);
    if (f->secret && f->fallback && *f->fallback && f->type == BERTH_STRING)
      check_warn("the secret %s has a default", f->name);
    if (f->required && f->fallback)
      check_warn("%s is required and has a default: one of them means nothing", f->name);
  }
  bt_manifest_free(&taken);
}

static void whole(const struct check_test *t) {
  (void)t;
  const struct berth_plugin *p = check_map();
  BT_AUTO_ERR err = NULL;
  check_step("the server's own check");
  struct bt_manifest *m = !p ? NULL : check_wire() ? check_wire_manifest(&err) : bt_loader_check(p, check_plan.path, &err);
  if (p && !m)
    check_fail("%s", bt_err_message(err));
  bt_manifest_free(&m);
}

/* ---------------------------------------------------------------- */

static void quiet(const struct check_test *t) {
  (void)t;
  if (check_wire()) {
    check_skip(no_object);
    return;
  }
  struct check_count before = check_count();
  if (!check_map())
    return;
  struct check_count after = check_count();
  if (after.descriptors > before.descriptors)
    check_fail("loading it opened %d descriptors: a constructor runs", after.descriptors - before.descriptors);
  if (after.threads > before.threads)
    check_fail("loading it started %d threads: a constructor runs", after.threads - before.threads);
}

void check_tests_manifest(struct check_tests *tests) {
#define ADD(name, fn, doc) check_test_add(tests, bt_strdup(name), fn, NULL, 0, doc)
  ADD("manifest.symbol", symbol, "the file can be loaded and exports " BERTH_PLUGIN_SYMBOL_NAME);
  ADD("manifest.abi", abi, "it was built for this ABI");
  ADD("manifest.sizes", sizes, "structs say how large they are; start, stop and cancel are there");
  ADD("manifest.id", id, "the id is <kind>-<product>");
  ADD("manifest.version", version, "the version is a semantic one");
  ADD("manifest.license", license, "the license is an SPDX expression");
  ADD("manifest.summary", summary, "the summary is a sentence");
  ADD("manifest.interfaces", interfaces, "interfaces are known, their tables complete, the list ends");
  ADD("manifest.lists", lists, "needs, depends, products, exclusive and conflicts are well-formed");
  ADD("manifest.config", config, "fields have names, types, docs, defaults within their limits; secrets are marked");
  ADD("manifest.whole", whole, "the server's loader takes it");
  ADD("load.quiet", quiet, "loading it opens no descriptor and starts no thread");
#undef ADD
}
