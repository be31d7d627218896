#include "config.h"
#include "plugin/manifest.h"

#include <ctype.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/vec.h"
#include "plugin/describe.h"
#include "plugin/fields.h"

enum { max_sentence = 1024 };

static const char *const type_names[] = {"string", "int", "bool", "duration", "size", "list", "map", "json"};
static const char *const isolation_names[] = {"default", "process", "none"};

/* ---------------------------------------------------------------- versions */

/* Reads up to three numbers off *s and stands behind them; false where there is none. */
static bool read_version(const char **s, long long out[3]) {
  memset(out, 0, 3 * sizeof *out);
  const char *p = *s;
  for (int i = 0; i < 3; i++) {
    size_t n = strspn(p, "0123456789");
    if (!n || n > 9)
      return false;
    out[i] = strtoll(p, NULL, 10);
    p += n;
    if (*p != '.' || i == 2)
      break;
    p++;
  }
  *s = p;
  return true;
}

/* "<", "<=", ">", ">=", "=" or none (as =): the signs for which it holds, as bits of (less, equal, more). */
static unsigned read_sign(const char **s) {
  unsigned bits = **s == '<' ? 1 : **s == '>' ? 4 : 0;
  if (bits)
    (*s)++;
  if (**s == '=' || !bits)
    bits |= 2;
  if (**s == '=')
    (*s)++;
  return bits;
}

/* Walks the comparisons; version NULL only checks how they are written. */
static bool walk_range(const long long *version, const char *range) {
  bool any = false, all = true;
  for (const char *p = range; *p;) {
    if (*p == ' ') {
      p++;
      continue;
    }
    long long bound[3];
    unsigned bits = read_sign(&p);
    if (!read_version(&p, bound) || (*p && *p != ' '))
      return false;
    any = true;
    int order = 0;
    for (int i = 0; version && i < 3 && !order; i++)
      order = version[i] < bound[i] ? -1 : version[i] > bound[i];
    all &= !version || (bits & (order < 0 ? 1u : order ? 4u : 2u)) != 0;
  }
  return any && all;
}

bool bt_version_range_ok(const char *range) { return strlen(range) <= 128 && walk_range(NULL, range); }

bool bt_version_in(const char *version, const char *range) {
  long long v[3];
  const char *p = version;
  return !range || (read_version(&p, v) && walk_range(v, range));
}

/* ---------------------------------------------------------------- check */

bool bt_plugin_id_ok(const char *id) {
  size_t n = strlen(id);
  return n >= 3 && n <= 64 && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == n && id[0] != '-' && id[n - 1] != '-' &&
         strchr(id, '-');
}

static bool version_ok(const char *v) {
  int dots = 0;
  size_t i = 0;
  for (; v[i] && v[i] != '-' && v[i] != '+'; i++) {
    if (v[i] == '.' && i > 0 && isdigit((unsigned char)v[i - 1]) && isdigit((unsigned char)v[i + 1]))
      dots++;
    else if (!isdigit((unsigned char)v[i]))
      return false;
  }
  size_t n = strlen(v);
  return dots == 2 && n <= 64 && strspn(v, "0123456789.-+abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == n;
}

static bool interface_id_ok(const char *id) {
  const char *slash = strchr(id, '/');
  size_t n = strlen(id);
  return n <= 64 && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-./") == n && bt_starts(id, "berth.") && slash && slash[1] >= '1' && slash[1] <= '9' &&
         strspn(slash + 1, "0123456789") == strlen(slash + 1);
}

/* Interfaces that this host does not know are left alone: the plug-in may serve a newer Berth as well. One it knows there
 * must be. */
static int check_interfaces(const struct berth_manifest *m, const char *path, struct bt_err **err) {
  size_t n = 0, known = 0;
  for (const struct berth_interface *i = m->interfaces; i && i->id; i++, n++) {
    if (n == BT_MAX_INTERFACES)
      return bt_err_set(err, BT_INVALID, "plug-in %s lists over %d interfaces: the list must end with id NULL", path,
                        BT_MAX_INTERFACES);
    if (!interface_id_ok(i->id) || !i->methods)
      return bt_err_set(err, BT_INVALID, "plug-in %s: interface \"%.64s\" has no table, or is no id as \"berth.chat/1\"", path,
                        i->id);
    const struct bt_interface *interface = bt_interface_of(i->id);
    if (!interface)
      continue;
    known++;
    size_t size;
    memcpy(&size, i->methods, sizeof size); /* every table begins with its size */
    if (size < interface->min)
      return bt_err_set(err, BT_INVALID, "plug-in %s: its table of %s has %zu bytes; the interface has at least %zu", path,
                        i->id, size, interface->min);
  }
  if (!known)
    return bt_err_set(err, BT_UNSUPPORTED, "plug-in %s implements no interface that this Berth knows (its first: %s)", path,
                      n ? m->interfaces[0].id : "none");
  return 0;
}

static int check_list(const char *const *list, bool (*fine)(const char *), const char *what, const char *path,
                      struct bt_err **err) {
  for (size_t i = 0; list && list[i]; i++)
    if (i == BT_MAX_NEEDS || !fine(list[i]))
      return bt_err_set(err, BT_INVALID, "plug-in %s: its list of %s holds \"%.64s\", or does not end with NULL", path, what,
                        list[i]);
  return 0;
}

static bool role_ok(const char *role) {
  size_t n = strlen(role);
  return n >= 1 && n <= 64 && strspn(role, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n;
}

static int check_others(const struct berth_manifest *m, const char *path, struct bt_err **err) {
  for (const struct berth_depend *d = m->depends; d && d->id; d++)
    if ((!bt_plugin_id_ok(d->id) && !interface_id_ok(d->id)) || (d->versions && !bt_version_range_ok(d->versions)))
      return bt_err_set(err, BT_INVALID,
                        "plug-in %s: it depends on \"%.64s\", which is no plug-in and no interface, or in a range of versions "
                        "that is none (as \">=1.2 <2\")",
                        path, d->id);
  for (const struct berth_product *p = m->products; p && p->name; p++)
    if (!*p->name || strlen(p->name) > 64 || (p->versions && !bt_version_range_ok(p->versions)))
      return bt_err_set(err, BT_INVALID, "plug-in %s: the product \"%.64s\" has a range of versions that is none (as \">=1.40 <2\")",
                        path, p->name);
  if (check_list(m->exclusive, role_ok, "roles", path, err) != 0 ||
      check_list(m->conflicts, bt_plugin_id_ok, "conflicting plug-ins", path, err) != 0)
    return -1;
  if ((unsigned)m->isolation > BERTH_ISOLATION_NONE)
    return bt_err_set(err, BT_INVALID, "plug-in %s wants an isolation that ABI %d does not know", path, BERTH_ABI);
  return 0;
}

static int check_manifest(const struct berth_manifest *m, const char *path, struct bt_err **err) {
  if (!m->id || !bt_plugin_id_ok(m->id))
    return bt_err_set(err, BT_INVALID, "plug-in %s: its id \"%.64s\" is not <kind>-<product> of 3 to 64 of a-z 0-9 -", path,
                      m->id ? m->id : "");
  if (!m->version || !version_ok(m->version))
    return bt_err_set(err, BT_INVALID, "plug-in %s: its version \"%.64s\" is no semantic version as 1.2.3", path,
                      m->version ? m->version : "");
  if (!m->summary || !m->license || strlen(m->summary) > max_sentence || strlen(m->license) > max_sentence)
    return bt_err_set(err, BT_INVALID, "plug-in %s: its manifest lacks a summary or a license", path);
  if (check_interfaces(m, path, err) != 0 || check_list(m->needs, interface_id_ok, "needed services", path, err) != 0 ||
      check_others(m, path, err) != 0)
    return -1;
  if (bt_plugin_fields_check(m->config, err) != 0)
    return bt_err_wrap(err, "plug-in %s", path);
  return 0;
}

/* ---------------------------------------------------------------- of a plug-in in this process */

/* Copies an array whose elements have "stride" bytes and begin with a pointer that is NULL in the last one. NULL where it has
 * over max, or a stride that cannot be. */
static void *copy_array(const void *from, size_t stride, size_t first, size_t size, size_t max) {
  if (!stride)
    stride = first;
  if (stride < first || stride % sizeof(void *) || stride > 4096)
    return NULL;
  size_t n = 0;
  const void *head;
  for (;; n++) {
    memcpy(&head, (const char *)from + n * stride, sizeof head);
    if (!head)
      break;
    if (n == max)
      return NULL;
  }
  char *to = bt_calloc(n + 1, size);
  for (size_t i = 0; i < n; i++)
    memcpy(to + i * size, (const char *)from + i * stride, BT_MIN(stride, size));
  return to;
}

#define COPY(array, stride, type, last, max) copy_array(array, stride, offsetof(type, last) + sizeof(((type *)0)->last), sizeof(type), max)

static int take_arrays(struct bt_manifest *own, const char *path, struct bt_err **err) {
  struct berth_manifest *m = &own->m;
  if (m->config && !(m->config = own->fields = COPY(m->config, m->field_size, struct berth_field, max, BT_MAX_FIELDS)))
    return bt_err_set(err, BT_INVALID, "plug-in %s: its config has over %d fields: the table must end with name NULL, and "
                                       "field_size be sizeof(struct berth_field)",
                      path, BT_MAX_FIELDS);
  if (m->depends && !(m->depends = own->depends = COPY(m->depends, m->depend_size, struct berth_depend, why, BT_MAX_DEPENDS)))
    return bt_err_set(err, BT_INVALID, "plug-in %s: depends must end with id NULL, and depend_size be sizeof(struct berth_depend)",
                      path);
  if (m->products &&
      !(m->products = own->products = COPY(m->products, m->product_size, struct berth_product, doc, BT_MAX_DEPENDS)))
    return bt_err_set(err, BT_INVALID,
                      "plug-in %s: products must end with name NULL, and product_size be sizeof(struct berth_product)", path);
  return 0;
}

struct bt_manifest *bt_manifest_take(const struct berth_manifest *given, const char *path, struct bt_err **err) {
  struct bt_manifest *own = bt_new(struct bt_manifest);
  memcpy(&own->m, given, BT_MIN(given->size, sizeof own->m));
  if (take_arrays(own, path, err) != 0 || check_manifest(&own->m, path, err) != 0)
    bt_manifest_free(&own);
  return own;
}

void bt_manifest_free(struct bt_manifest **ownp) {
  struct bt_manifest *own = *ownp;
  if (!own)
    return;
  free(own->fields);
  free(own->depends);
  free(own->products);
  for (size_t i = 0; own->interfaces && own->interfaces[i].id; i++)
    free((void *)(uintptr_t)own->interfaces[i].methods);
  free(own->interfaces);
  free(own->needs);
  free(own->exclusive);
  free(own->conflicts);
  json_decref(own->json);
  free(own);
  *ownp = NULL;
}

/* ---------------------------------------------------------------- to JSON */

static json_t *texts_json(const char *const *list) {
  json_t *array = json_array();
  for (size_t i = 0; list && list[i]; i++)
    json_array_append_new(array, bt_json_string(list[i]));
  return array;
}

static json_t *interfaces_json(const struct berth_manifest *m) {
  json_t *array = json_array();
  for (const struct berth_interface *i = m->interfaces; i && i->id; i++) {
    const struct bt_interface *interface = bt_interface_of(i->id);
    json_t *o = json_object(), *methods = json_array();
    for (const struct bt_method *k = interface ? interface->methods : NULL; k && k->name; k++)
      if (bt_method_in(k, i->methods))
        json_array_append_new(methods, json_string(k->name));
    bt_json_set_str(o, "id", i->id);
    bt_json_set(o, "methods", methods);
    json_array_append_new(array, o);
  }
  return array;
}

static json_t *field_json(const struct berth_field *f) {
  json_t *o = json_object();
  bt_json_set_str(o, "name", f->name);
  bt_json_set_str(o, "type", type_names[f->type]);
  bt_json_set_str(o, "default", f->fallback);
  bt_json_set_bool(o, "required", f->required);
  bt_json_set_bool(o, "secret", f->secret);
  bt_json_set_bool(o, "immutable", f->immutable);
  bt_json_set_str(o, "doc", f->doc);
  if (f->min || f->max) {
    bt_json_set_int(o, "min", f->min);
    bt_json_set_int(o, "max", f->max);
  }
  return o;
}

json_t *bt_manifest_json(const struct berth_manifest *m) {
  json_t *o = json_object(), *config = json_array(), *depends = json_array(), *products = json_array();
  bt_json_set_str(o, "id", m->id);
  bt_json_set_str(o, "version", m->version);
  bt_json_set_int(o, "abi", m->abi);
  bt_json_set_str(o, "summary", m->summary);
  bt_json_set_str(o, "license", m->license);
  bt_json_set(o, "interfaces", interfaces_json(m));
  bt_json_set(o, "needs", texts_json(m->needs));
  for (const struct berth_field *f = m->config; f && f->name; f++)
    json_array_append_new(config, field_json(f));
  bt_json_set(o, "config", config);
  for (const struct berth_depend *d = m->depends; d && d->id; d++) {
    json_t *item = json_object();
    bt_json_set_str(item, "id", d->id);
    bt_json_set_str(item, "versions", d->versions);
    bt_json_set_bool(item, "optional", d->optional);
    bt_json_set_str(item, "why", d->why);
    json_array_append_new(depends, item);
  }
  bt_json_set(o, "depends", depends);
  bt_json_set(o, "exclusive", texts_json(m->exclusive));
  bt_json_set(o, "conflicts", texts_json(m->conflicts));
  for (const struct berth_product *p = m->products; p && p->name; p++) {
    json_t *item = json_object();
    bt_json_set_str(item, "name", p->name);
    bt_json_set_str(item, "versions", p->versions);
    bt_json_set_str(item, "doc", p->doc);
    json_array_append_new(products, item);
  }
  bt_json_set(o, "products", products);
  bt_json_set_str(o, "isolation", isolation_names[m->isolation]);
  return o;
}

/* ---------------------------------------------------------------- from JSON */

static int index_of(const char *const *names, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (bt_streq(names[i], name))
      return (int)i;
  return -1;
}

/* A list of strings, ending with NULL; NULL where the member is absent or no such list. */
static const char **read_texts(const json_t *o, const char *key) {
  json_t *array = bt_json_arr(o, key);
  size_t n = json_array_size(array);
  if (!array || n > BT_MAX_NEEDS)
    return NULL;
  const char **list = bt_newn(const char *, n + 1);
  for (size_t i = 0; i < n; i++) {
    const char *text = json_string_value(json_array_get(array, i));
    list[i] = text ? text : "";
  }
  return list;
}

/* What stands in a table for a method of another process. Nobody calls it. */
static void method_elsewhere(void) { BT_ASSERT(!"a method of another process was called"); }

static void *read_table(const struct bt_interface *interface, const json_t *methods) {
  size_t size = interface ? interface->size : sizeof size;
  char *table = bt_calloc(1, size);
  memcpy(table, &size, sizeof size);
  size_t i;
  json_t *name;
  void (*mark)(void) = method_elsewhere;
  json_array_foreach(methods, i, name) {
    const struct bt_method *m = interface && json_is_string(name) ? bt_interface_method(interface, json_string_value(name)) : NULL;
    if (m)
      memcpy(table + m->slot, &mark, sizeof mark);
  }
  return table;
}

static void read_interfaces(struct bt_manifest *own) {
  json_t *array = bt_json_arr(own->json, "interfaces"), *o;
  size_t i, n = json_array_size(array);
  own->interfaces = bt_newn(struct berth_interface, n + 1);
  own->m.interfaces = own->interfaces;
  json_array_foreach(array, i, o) {
    const char *id = bt_json_str_or(o, "id", "");
    own->interfaces[i] = (struct berth_interface){id, read_table(bt_interface_of(id), bt_json_arr(o, "methods"))};
  }
}

static void read_fields(struct bt_manifest *own) {
  json_t *array = bt_json_arr(own->json, "config"), *o;
  size_t i, n = json_array_size(array);
  own->m.config = own->fields = bt_newn(struct berth_field, n + 1);
  json_array_foreach(array, i, o) {
    int type = index_of(type_names, BT_COUNT(type_names), bt_json_str(o, "type"));
    own->fields[i] = (struct berth_field){.name = bt_json_str_or(o, "name", ""),
                                          .type = type < 0 ? (enum berth_type)BT_COUNT(type_names) : (enum berth_type)type,
                                          .fallback = bt_json_str(o, "default"),
                                          .required = bt_json_bool(o, "required", false),
                                          .secret = bt_json_bool(o, "secret", false),
                                          .immutable = bt_json_bool(o, "immutable", false),
                                          .doc = bt_json_str(o, "doc"),
                                          .min = bt_json_int(o, "min", 0),
                                          .max = bt_json_int(o, "max", 0)};
  }
}

static void read_others(struct bt_manifest *own) {
  json_t *depends = bt_json_arr(own->json, "depends"), *products = bt_json_arr(own->json, "products"), *o;
  size_t i;
  own->m.depends = own->depends = bt_newn(struct berth_depend, json_array_size(depends) + 1);
  own->m.products = own->products = bt_newn(struct berth_product, json_array_size(products) + 1);
  json_array_foreach(depends, i, o) {
    own->depends[i] = (struct berth_depend){.id = bt_json_str_or(o, "id", ""),
                                            .versions = bt_json_str(o, "versions"),
                                            .optional = bt_json_bool(o, "optional", false),
                                            .why = bt_json_str(o, "why")};
  }
  json_array_foreach(products, i, o) {
    own->products[i] = (struct berth_product){
        .name = bt_json_str_or(o, "name", ""), .versions = bt_json_str(o, "versions"), .doc = bt_json_str(o, "doc")};
  }
  own->m.exclusive = own->exclusive = read_texts(own->json, "exclusive");
  own->m.conflicts = own->conflicts = read_texts(own->json, "conflicts");
  int isolation = index_of(isolation_names, BT_COUNT(isolation_names), bt_json_str_or(own->json, "isolation", "default"));
  own->m.isolation = isolation < 0 ? (enum berth_isolation)BT_COUNT(isolation_names) : (enum berth_isolation)isolation;
}

/* Arrays that are longer than the checks look at, or none. */
static bool too_long(const json_t *json) {
  return json_array_size(bt_json_arr(json, "interfaces")) > BT_MAX_INTERFACES ||
         json_array_size(bt_json_arr(json, "config")) > BT_MAX_FIELDS ||
         json_array_size(bt_json_arr(json, "depends")) > BT_MAX_DEPENDS ||
         json_array_size(bt_json_arr(json, "products")) > BT_MAX_DEPENDS;
}

struct bt_manifest *bt_manifest_read(const json_t *json, const char *path, struct bt_err **err) {
  if (!json_is_object(json) || too_long(json)) {
    bt_err_set(err, BT_INVALID, "plug-in %s: its manifest is no object, or one of its lists has no end", path);
    return NULL;
  }
  struct bt_manifest *own = bt_new(struct bt_manifest);
  own->json = json_incref((json_t *)(uintptr_t)json);
  own->m = (struct berth_manifest){.size = sizeof own->m,
                                   .abi = (uint32_t)bt_json_int(json, "abi", 0),
                                   .id = bt_json_str(json, "id"),
                                   .version = bt_json_str(json, "version"),
                                   .summary = bt_json_str(json, "summary"),
                                   .license = bt_json_str(json, "license")};
  read_interfaces(own);
  read_fields(own);
  read_others(own);
  own->m.needs = own->needs = read_texts(json, "needs");
  if (own->m.abi != BERTH_ABI) {
    bt_err_set(err, BT_UNSUPPORTED,
               "plug-in %s was built for ABI %u; this Berth speaks %d: rebuild it with the headers of berth %s", path, own->m.abi,
               BERTH_ABI, PACKAGE_VERSION);
    bt_manifest_free(&own);
  } else if (check_manifest(&own->m, path, err) != 0) {
    bt_manifest_free(&own);
  }
  return own;
}
