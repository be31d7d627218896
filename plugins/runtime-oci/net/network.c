#include "config.h"
#include "internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../files.h"
#include "bridge.h"
#include "netlink.h"

enum { max_record = 4 << 20 };

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ro_networks *all; /* one per root, for the life of the process */

/* ---------------------------------------------------------------- opening */

struct reading {
  struct ro_networks *n;
  const char *folder;
  struct ro_why *why;
  bool bad;
};

static void add_item(struct ro_networks *n, struct ro_network *net) {
  struct ro_network **more = pu_calloc(n->len + 1, sizeof *more);
  if (n->len)
    memcpy(more, n->items, n->len * sizeof *more);
  more[n->len++] = net;
  free(n->items);
  n->items = more;
}

static json_t *read_record(const struct reading *r, const char *file) {
  PU_AUTO_FREE path = pu_asprintf("%s/%s/%s", r->n->root, r->folder, file);
  PU_AUTO_FREE error = NULL;
  return ro_file_json(path, max_record, &error);
}

static bool ends(const char *file, const char *with) {
  size_t len = strlen(file), n = strlen(with);
  return len > n && strcmp(file + len - n, with) == 0;
}

/* False for what is none; what a crash left half written goes. */
static bool is_record(const struct reading *r, const char *file) {
  if (ends(file, ".json.tmp")) {
    PU_AUTO_FREE path = pu_asprintf("%s/%s/%s", r->n->root, r->folder, file);
    unlink(path);
  }
  return file[0] != '.' && ends(file, ".json");
}

static void network_found(void *arg, const char *file) {
  struct reading *r = arg;
  if (!is_record(r, file))
    return;
  json_t *record = read_record(r, file);
  struct ro_network *net = record ? ro_network_of(record, r->why) : NULL;
  if (net)
    add_item(r->n, net);
  else if (!record)
    ro_why_set(r->why, BERTH_IO, "%s/networks/%s cannot be read", r->n->root, file);
  r->bad = r->bad || !net;
}

static void member_found(void *arg, const char *file) {
  struct reading *r = arg;
  if (!is_record(r, file))
    return;
  json_t *member = read_record(r, file);
  PU_AUTO_FREE id = pu_strndup(file, strlen(file) - 5);
  if (!json_is_object(member)) { /* torn by a power cut: whoever it was does not run any more */
    ro_record_unlink(r->n, "leases", id);
    json_decref(member);
    return;
  }
  ro_member_adopt(r->n, id, member);
  if (!pu_bool(member, "ready", true))
    json_object_set_new(r->n->unready, id, json_true());
  json_object_set_new(r->n->members, id, member);
}

static void networks_free(struct ro_networks *n) {
  for (size_t i = 0; i < n->len; i++)
    ro_network_free(n->items[i]);
  ro_ports_let_go(n, NULL);
  ro_nft_close(&n->nft);
  ro_only_release(&n->only);
  if (n->nl >= 0)
    close(n->nl);
  json_decref(n->members);
  json_decref(n->unready);
  json_decref(n->pools);
  if (n->resolver_fd >= 0)
    close(n->resolver_fd);
  free(n->resolver);
  free(n->resolver_socket);
  json_decref(n->dns);
  free(n->items);
  free(n->root);
  pthread_mutex_destroy(&n->lock);
  free(n);
}

static bool make_folders(const char *root, struct ro_why *why) {
  static const char *const below[] = {"networks", "leases"};
  for (size_t i = 0; i < PU_COUNT(below); i++) {
    PU_AUTO_FREE path = pu_asprintf("%s/%s", root, below[i]);
    PU_AUTO_FREE error = NULL;
    if (!ro_dir_make(path, 0700, &error)) {
      ro_why_set(why, BERTH_IO, "%s", error ? error : path);
      return false;
    }
  }
  return true;
}

/* A machine that was started anew has none of it, one whose server was started anew has all. */
static int restore(struct ro_networks *n, struct ro_why *why) {
  if (!n->len)
    return 0;
  for (size_t i = 0; i < n->len; i++)
    if (ro_filter_network(n, n->items[i], why))
      return -1;
  return ro_filter_rebuild(n, why);
}

static struct ro_networks *open_at(const char *root, struct ro_why *why) {
  struct ro_networks *n = pu_new(struct ro_networks);
  pthread_mutex_init(&n->lock, NULL);
  n->root = pu_strdup(root);
  n->members = json_object();
  n->unready = json_object();
  n->resolver_fd = -1;
  n->only = -1;
  n->nl = ro_nl_open(why);
  struct reading r = {.n = n, .folder = "networks", .why = why};
  PU_AUTO_FREE networks = pu_asprintf("%s/networks", root);
  PU_AUTO_FREE leases = pu_asprintf("%s/leases", root);
  bool good = n->nl >= 0 && make_folders(root, why) && ro_dir_each(networks, network_found, &r) && !r.bad;
  if (good) {
    r.folder = "leases";
    good = ro_dir_each(leases, member_found, &r) && restore(n, why) == 0;
  }
  if (good)
    return n;
  if (why && !why->code)
    ro_why_set(why, BERTH_IO, "%s cannot be read", root);
  networks_free(n);
  return NULL;
}

struct ro_networks *ro_networks_at(const char *root, const json_t *pools, struct ro_why *why) {
  pthread_mutex_lock(&all_lock);
  struct ro_networks *n = all;
  while (n && !pu_eq(n->root, root))
    n = n->next;
  if (!n && (n = open_at(root, why))) {
    n->next = all;
    all = n;
  }
  if (n && pools && !json_equal(n->pools, pools)) {
    pthread_mutex_lock(&n->lock);
    json_decref(n->pools);
    n->pools = json_deep_copy(pools);
    pthread_mutex_unlock(&n->lock);
  }
  pthread_mutex_unlock(&all_lock);
  return n;
}

void ro_networks_forget(const char *root) {
  pthread_mutex_lock(&all_lock);
  for (struct ro_networks **at = &all; *at; at = &(*at)->next)
    if (pu_eq((*at)->root, root)) {
      struct ro_networks *n = *at;
      *at = n->next;
      networks_free(n);
      break;
    }
  pthread_mutex_unlock(&all_lock);
}

/* ---------------------------------------------------------------- ensure */

static json_t *made(const struct ro_network *net, bool created) { return json_pack("{s:s, s:b}", "id", net->id, "created", created); }

static int use(struct ro_networks *n, struct ro_network *net, const json_t *spec, const json_t *labels, json_t **out, struct ro_why *why) {
  bool external = pu_bool(spec, "external", false);
  const char *mine = pu_str(labels, "berth.server"), *theirs = pu_str(pu_obj(net->record, "labels"), "berth.server");
  PU_AUTO_FREE differs = external ? NULL : ro_record_differs(net->record, spec);
  if (!external && mine && theirs && !pu_eq(mine, theirs))
    return ro_why_set(why, BERTH_CONFLICT, "network %s: one of that name belongs to another Berth server (berth.server=%s): choose another name, or share it with \"external: true\"",
                      net->name, theirs);
  if (differs)
    return ro_why_set(why, BERTH_CONFLICT, "network %s: one of that name is there, but %s: remove it, or choose another name", net->name, differs);
  if (ro_filter_network(n, net, why)) /* somebody may have taken its bridge away */
    return -1;
  ro_names_network(n, net);
  *out = made(net, false);
  return 0;
}

static void drop_item(struct ro_networks *n, const struct ro_network *net) {
  for (size_t i = 0; i < n->len; i++)
    if (n->items[i] == net) {
      memmove(&n->items[i], &n->items[i + 1], (n->len - i - 1) * sizeof *n->items);
      n->len--;
      return;
    }
}

static int make(struct ro_networks *n, const char *name, const json_t *spec, const json_t *labels, json_t **out, struct ro_why *why) {
  json_t *record = ro_record_new(n, name, spec, labels, why);
  struct ro_network *net = record ? ro_network_of(record, why) : NULL;
  if (!net)
    return -1;
  if (ro_record_write(n, "networks", net->name, record, true, why)) {
    ro_network_free(net);
    return -1;
  }
  add_item(n, net);
  if (ro_filter_network(n, net, why)) {
    drop_item(n, net);
    ro_filter_drop(n, net, NULL);
    ro_record_unlink(n, "networks", net->name);
    ro_network_free(net);
    return -1;
  }
  ro_names_network(n, net);
  *out = made(net, true);
  return 0;
}

int ro_networks_ensure(struct ro_networks *n, const char *name, const json_t *spec, const json_t *labels, json_t **out, struct ro_why *why) {
  pthread_mutex_lock(&n->lock);
  struct ro_network *net = ro_network_find(n, name);
  int result;
  if (net)
    result = use(n, net, spec, labels, out, why);
  else if (pu_bool(spec, "external", false))
    result = ro_why_set(why, BERTH_NOT_FOUND, "network %.200s: it is external, but the runtime does not have it: make it, or let the app own it", name);
  else
    result = make(n, name, spec, labels, out, why);
  pthread_mutex_unlock(&n->lock);
  return result;
}

/* ---------------------------------------------------------------- remove, list */

static bool is_ours(const struct ro_network *net) {
  const char *key;
  json_t *value;
  json_object_foreach(pu_obj(net->record, "labels"), key, value) {
    (void)value;
    if (pu_starts(key, "berth."))
      return true;
  }
  return false;
}

int ro_network_drop(struct ro_networks *n, struct ro_network *net, struct ro_why *why) {
  const char *user = ro_member_in(n, net->name);
  if (user)
    return ro_why_set(why, BERTH_CONFLICT, "network %s: containers still use it, %s for one", net->name, user);
  ro_member_leave(n, net->name);
  drop_item(n, net);
  int result = ro_filter_drop(n, net, why);
  ro_record_unlink(n, "networks", net->name); /* last: a crash before this leaves a network that is known */
  ro_names_network_drop(n, net->name);
  ro_network_free(net);
  return result;
}

int ro_networks_remove(struct ro_networks *n, const char *name_or_id, struct ro_why *why) {
  pthread_mutex_lock(&n->lock);
  struct ro_network *found = NULL;
  for (size_t i = 0; i < n->len && !found; i++)
    if (pu_eq(n->items[i]->id, name_or_id) || (pu_eq(n->items[i]->name, name_or_id) && is_ours(n->items[i])))
      found = n->items[i];
  int result = found ? ro_network_drop(n, found, why) : 0;
  pthread_mutex_unlock(&n->lock);
  return result;
}

static bool has_label(const json_t *labels, const char *label) {
  const char *sign = label ? strchr(label, '=') : NULL;
  if (!label)
    return true;
  PU_AUTO_FREE key = pu_strndup(label, sign ? (size_t)(sign - label) : strlen(label));
  const char *value = pu_str(labels, key);
  return value && (!sign || pu_eq(value, sign + 1));
}

json_t *ro_networks_list(struct ro_networks *n, const char *label) {
  json_t *list = json_array();
  pthread_mutex_lock(&n->lock);
  for (size_t i = 0; i < n->len; i++) {
    const struct ro_network *net = n->items[i];
    json_t *labels = pu_obj(net->record, "labels");
    if (has_label(labels, label))
      json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "name", net->name, "id", net->id, "driver", net->driver, "labels", json_deep_copy(labels)));
  }
  pthread_mutex_unlock(&n->lock);
  return json_pack("{s:o}", "networks", list);
}

/* ---------------------------------------------------------------- mend */

static bool bridges_there(struct ro_networks *n) {
  for (size_t i = 0; i < n->len; i++)
    if (n->items[i]->bridge && !ro_bridge_there(n->nl, n->items[i]->bridge, NULL))
      return false;
  return true;
}

int ro_networks_mend(struct ro_networks *n, struct ro_why *why) {
  pthread_mutex_lock(&n->lock);
  int result = 0;
  if (!ro_filter_intact(n) || !bridges_there(n))
    result = restore(n, why) ? -1 : 1;
  if (!ro_names_mend(n) && !result)
    result = ro_why_set(why, BERTH_UNAVAILABLE, "%s does not start: names of containers are not answered", n->resolver);
  pthread_mutex_unlock(&n->lock);
  return result;
}
