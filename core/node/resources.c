/* Networks, volumes and images that instances wait for on this node. Each is brought to what is wanted by its own small
 * loop; an instance asks whether all of its own are there and is stepped when one changes. */
#include "config.h"

#include <berth/registry.h>

#include "base/clock.h"
#include "base/log.h"
#include "node/images.h"
#include "node/internal.h"

enum { resource_retry_ms = 2000, image_retry_ms = 10000, pull_deadline_ms = 30 * 60 * 1000 };

static struct bt_map *map_of(struct bt_agent *agent, bool volume) { return volume ? agent->volumes : agent->networks; }

void bt_resource_free(void *p) {
  struct bt_resource *r = p;
  bt_timer_free(&r->retry);
  json_decref(r->spec);
  json_decref(r->labels);
  json_decref(r->doomed);
  free(r->name);
  free(r->error);
  free(r->mountpoint);
  free(r);
}

static void resource_step(struct bt_resource *r);

static void retry_resource(void *arg) { resource_step(arg); }

static void set_retry(struct bt_resource *r) {
  if (!r->retry)
    r->retry = bt_timer_new(r->agent->o.loop, "node: resource", retry_resource, r);
  bt_timer_set(r->retry, resource_retry_ms);
}

static void ensured(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_resource *r = arg;
  bt_str_set(&r->error, code == BT_OK ? NULL : message);
  r->state = code == BT_OK ? BT_RES_READY : BT_RES_FAILED;
  r->lasting = bt_node_lasting(code) || (code == BT_NOT_FOUND && bt_json_bool(r->spec, "external", false));
  if (code == BT_OK)
    bt_str_set(&r->mountpoint, bt_json_str(result, "mountpoint"));
  else
    set_retry(r);
  if (r->drop)
    resource_step(r);
  else
    bt_agent_step_all(r->agent);
}

/* With the server's id, as containers have it: another server on this engine keeps its own. */
static char *labels_of(const struct bt_resource *r) {
  BT_AUTO_JSON labels = json_object();
  if (r->labels)
    json_object_update(labels, r->labels);
  bt_json_set_str(labels, "berth.server", r->agent->server_id);
  return bt_json_text(labels);
}

static void ensure(struct bt_resource *r) {
  r->state = BT_RES_BUSY;
  BT_AUTO_FREE char *spec = r->spec ? bt_json_text(r->spec) : bt_strdup("{}");
  BT_AUTO_FREE char *labels = labels_of(r);
  struct bt_plugin_call call = {.deadline_ms = 60000, .done = ensured, .arg = r};
  if (r->volume) {
    struct berth_runtime_volume req = {sizeof req, .name = r->name, .spec_json = spec, .labels_json = labels};
    call.method = "runtime.volume_ensure";
    bt_agent_call(r->agent, volume_ensure, &call, &req);
  } else {
    struct berth_runtime_network req = {sizeof req, .name = r->name, .spec_json = spec, .labels_json = labels};
    call.method = "runtime.network_ensure";
    bt_agent_call(r->agent, network_ensure, &call, &req);
  }
}

static void dropped(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_resource *r = arg;
  (void)result;
  struct bt_agent *agent = r->agent;
  bool gone = code == BT_OK || code == BT_NOT_FOUND;
  json_t *o = json_object();
  bt_json_set_str(o, "type", "dropped");
  bt_json_set_str(o, "kind", r->volume ? "volume" : "network");
  bt_json_set_str(o, "name", r->name);
  if (!gone)
    bt_json_set_str(o, "error", message);
  r->state = BT_RES_UNKNOWN;
  if (!r->drop)
    resource_step(r); /* wanted again meanwhile */
  else if (gone)
    bt_map_del(map_of(agent, r->volume), r->name);
  bt_agent_send(agent, o); /* who asks again where it failed */
}

static void drop_volume(struct bt_resource *r) {
  struct bt_plugin_call call = {.method = "runtime.volume_remove", .deadline_ms = 60000, .done = dropped, .arg = r};
  bt_agent_call(r->agent, volume_remove, &call, r->name);
}

static void drop_networks(struct bt_resource *r);

static void network_dropped(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_resource *r = arg;
  json_array_remove(r->doomed, 0);
  if (code != BT_OK && code != BT_NOT_FOUND)
    dropped(r, code, message, result);
  else
    drop_networks(r);
}

/* By their ids: a name may be another server's as well, now or by the time the engine hears of it. */
static void drop_networks(struct bt_resource *r) {
  const char *id = json_string_value(json_array_get(r->doomed, 0));
  if (!id) {
    dropped(r, BT_OK, NULL, NULL);
    return;
  }
  struct bt_plugin_call call = {.method = "runtime.network_remove", .deadline_ms = 60000, .done = network_dropped, .arg = r};
  bt_agent_call(r->agent, network_remove, &call, id);
}

/* Notes the ids of ours of that name. False: there is none. What carries no server's label is ours where it is a volume, since those
 * are adopted by their name, which no two have; a network, where another label tells that Berth made it. */
static bool note_ours(struct bt_resource *r, const json_t *result) {
  size_t i;
  json_t *o;
  bool found = false;
  json_decref(r->doomed);
  r->doomed = json_array();
  json_array_foreach(bt_json_arr(result, r->volume ? "volumes" : "networks"), i, o) {
    const json_t *labels = bt_json_obj(o, "labels");
    const char *server = bt_json_str(labels, "berth.server");
    bool ours = server ? bt_streq(server, r->agent->server_id) : r->volume || bt_json_str(labels, "berth.namespace") != NULL;
    if (!ours || !bt_streq(bt_json_str(o, "name"), r->name))
      continue;
    found = true;
    if (bt_json_str(o, "id"))
      json_array_append(r->doomed, json_object_get(o, "id"));
  }
  return found;
}

static void owner_seen(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_resource *r = arg;
  if (code != BT_OK)
    dropped(r, code, message, NULL);
  else if (!r->drop)
    dropped(r, BT_OK, NULL, NULL); /* wanted again meanwhile */
  else if (!note_ours(r, result))
    dropped(r, BT_NOT_FOUND, NULL, NULL); /* what bears the name is another's, and stays */
  else if (r->volume)
    drop_volume(r);
  else
    drop_networks(r);
}

static void drop(struct bt_resource *r) {
  r->state = BT_RES_DROPPING;
  struct berth_runtime_list req = {sizeof req};
  struct bt_plugin_call call = {.deadline_ms = 60000, .done = owner_seen, .arg = r};
  if (r->volume) {
    call.method = "runtime.volume_list";
    bt_agent_call(r->agent, volume_list, &call, &req);
  } else {
    call.method = "runtime.network_list";
    bt_agent_call(r->agent, network_list, &call, &req);
  }
}

static void resource_step(struct bt_resource *r) {
  if (r->state == BT_RES_BUSY || r->state == BT_RES_DROPPING || !r->agent->connected || r->agent->stopping)
    return;
  if (r->drop)
    drop(r);
  else if (r->state != BT_RES_READY)
    ensure(r);
}

static struct bt_resource *resource_at(struct bt_agent *agent, bool volume, const char *name) {
  struct bt_resource *r = bt_map_get(map_of(agent, volume), name);
  if (r)
    return r;
  r = bt_new(struct bt_resource);
  r->agent = agent;
  r->volume = volume;
  r->name = bt_strdup(name);
  bt_map_set(map_of(agent, volume), name, r);
  return r;
}

void bt_resource_want(struct bt_agent *agent, bool volume, const json_t *message) {
  const char *name = bt_json_str(message, "name");
  if (!name || !*name)
    return;
  struct bt_resource *r = resource_at(agent, volume, name);
  json_t *spec = bt_json_obj(message, "spec"), *labels = bt_json_obj(message, "labels");
  if (r->state == BT_RES_READY && !bt_json_equal(spec, r->spec))
    r->state = BT_RES_UNKNOWN;
  json_decref(r->spec);
  json_decref(r->labels);
  r->spec = json_incref(spec);
  r->labels = json_incref(labels);
  r->drop = false;
  resource_step(r);
}

void bt_resource_drop(struct bt_agent *agent, bool volume, const char *name) {
  struct bt_resource *r = resource_at(agent, volume, name);
  r->drop = true;
  resource_step(r);
}

void bt_resources_recheck(struct bt_agent *agent) {
  for (int volume = 0; volume < 2; volume++)
    for (struct bt_map_iter it = bt_map_iter(map_of(agent, volume)); bt_map_next(&it);) {
      struct bt_resource *r = it.value;
      if (r->state == BT_RES_READY)
        r->state = BT_RES_UNKNOWN;
      resource_step(r);
    }
}

/* One needed network or volume. A name nobody declared is external: the engine must have it, and is asked, since it would make an
 * empty volume without a word. */
static int one_ready(struct bt_inst *in, bool volume, const char *name, const char **why) {
  if (!name || !*name)
    return 1;
  struct bt_resource *r = resource_at(in->agent, volume, name);
  if (r->state == BT_RES_UNKNOWN && !r->spec) {
    r->spec = json_pack("{sb}", "external", 1);
    resource_step(r);
  }
  if (r->state == BT_RES_READY)
    return 1;
  if (r->state == BT_RES_FAILED) {
    *why = r->error;
    in->lasting |= r->lasting;
    return -1;
  }
  return 0;
}

int bt_resources_ready(struct bt_inst *in, const char **why) {
  int all = 1;
  size_t i;
  json_t *o;
  json_array_foreach(bt_json_arr(bt_inst_doc(in), "networks"), i, o) {
    int rc = one_ready(in, false, bt_json_str(o, "name"), why);
    all = BT_MIN(all, rc);
  }
  json_array_foreach(bt_json_arr(in->klass, "mounts"), i, o) {
    if (!bt_streq(bt_json_str(o, "type"), "volume"))
      continue;
    int rc = one_ready(in, true, bt_json_str(o, "source"), why);
    all = BT_MIN(all, rc);
  }
  return all;
}

static void doubt(struct bt_resource *r) {
  if (!r || r->drop || r->state != BT_RES_READY)
    return;
  r->state = BT_RES_UNKNOWN;
  resource_step(r);
}

void bt_resources_doubt(struct bt_inst *in) {
  size_t i;
  json_t *o;
  json_array_foreach(bt_json_arr(bt_inst_doc(in), "networks"), i, o)
    doubt(bt_map_get(in->agent->networks, bt_json_str_or(o, "name", "")));
  json_array_foreach(bt_json_arr(in->klass, "mounts"), i, o)
    if (bt_streq(bt_json_str(o, "type"), "volume"))
      doubt(bt_map_get(in->agent->volumes, bt_json_str_or(o, "source", "")));
}

/* ---------------------------------------------------------------- images */

void bt_image_free(void *p) {
  struct bt_image *img = p;
  free(img->name);
  free(img->tag);
  free(img->platform);
  free(img->id);
  free(img->error);
  free(img);
}

void bt_image_forget(struct bt_agent *agent, const char *name) {
  struct bt_image *img = bt_map_get(agent->images, name);
  if (img && img->state != BT_IMG_BUSY)
    img->state = BT_IMG_UNKNOWN;
}

static void image_drop_unused(struct bt_image *img) {
  if (!img->users && img->state != BT_IMG_BUSY)
    bt_map_del(img->agent->images, img->name);
}

void bt_image_release(struct bt_inst *in) {
  struct bt_image *img = bt_steal(in->image);
  if (!img)
    return;
  img->users--;
  image_drop_unused(img);
}

/* The record of the image that the assignment names, which may be another one than before. */
static struct bt_image *image_of(struct bt_inst *in) {
  struct bt_agent *agent = in->agent;
  const char *name = bt_json_str_or(bt_inst_doc(in), "image", "");
  if (in->image && bt_streq(in->image->name, name))
    return in->image;
  bt_image_release(in);
  struct bt_image *img = bt_map_get(agent->images, name);
  if (!img) {
    img = bt_new(struct bt_image);
    img->agent = agent;
    img->name = bt_strdup(name);
    img->tag = bt_strdup(bt_json_str(bt_inst_doc(in), "tag"));
    img->platform = bt_strdup(bt_json_str(bt_json_obj(in->klass, "service"), "platform"));
    bt_map_set(agent->images, name, img);
  }
  img->users++;
  in->image = img;
  return img;
}

static void image_settled(struct bt_image *img, enum bt_code code, const char *message, const json_t *result) {
  if (code == BT_OK) {
    img->state = BT_IMG_PRESENT;
    bt_str_set(&img->id, bt_json_str_or(result, "id", img->name));
    bt_str_set(&img->error, NULL);
  } else {
    img->state = BT_IMG_FAILED;
    img->failed_ms = bt_clock_mono_ms();
    bool named = strstr(message, img->name) != NULL;
    free(img->error);
    img->error = named ? bt_strdup(message) : bt_asprintf("image %s: %s", img->name, message);
  }
  struct bt_agent *agent = img->agent;
  image_drop_unused(img);
  bt_agent_step_all(agent);
}

static void image_pulled(void *arg, enum bt_code code, const char *message, json_t *result) {
  bt_images_came(((struct bt_image *)arg)->agent);
  image_settled(arg, code, message, result);
}

static size_t image_progress(void *arg, int channel, const void *data, size_t len) {
  struct bt_image *img = arg;
  if (channel != BERTH_RUNTIME_PROGRESS || !len)
    return 0;
  BT_AUTO_JSON o = bt_json_parse(data, len, 0, 0, "progress of a pull", NULL);
  const char *text = bt_json_str(o, "text");
  if (!text)
    return 0;
  for (struct bt_map_iter it = bt_map_iter(img->agent->instances); bt_map_next(&it);) {
    struct bt_inst *in = it.value;
    if (in->state == BT_INST_PULLING && bt_streq(bt_json_str(bt_inst_doc(in), "image"), img->name))
      bt_inst_progress(in, text, bt_json_int(o, "current", 0), bt_json_int(o, "total", 0));
  }
  return 0;
}

/* "repo@digest" with the tag between the two, by which the engine then names it: whoever asks it for the tag finds it there. */
static char *with_tag(const struct bt_image *img) {
  const char *at = strchr(img->name, '@');
  return at && img->tag ? bt_asprintf("%.*s:%s%s", (int)(at - img->name), img->name, img->tag, at) : bt_strdup(img->name);
}

static void pull_with(struct bt_image *img, const json_t *auth) {
  BT_AUTO_FREE char *name = with_tag(img);
  BT_AUTO_FREE char *auth_json = auth && bt_json_str(auth, "server") ? bt_json_text(auth) : NULL;
  struct berth_runtime_image req = {sizeof req, .image = name, .platform = img->platform, .auth_json = auth_json};
  struct bt_plugin_call call = {.method = "runtime.image_pull",
                                .deadline_ms = pull_deadline_ms,
                                .emit = image_progress,
                                .done = image_pulled,
                                .arg = img};
  bt_agent_call(img->agent, image_pull, &call, &req);
  if (auth_json)
    bt_wipe(auth_json, strlen(auth_json));
}

static void image_credentials(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_image *img = arg;
  if (code != BT_OK)
    image_settled(img, code, message, NULL);
  else
    pull_with(img, result);
}

static void image_inspected(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_image *img = arg;
  if (code != BT_NOT_FOUND || bt_starts(img->name, "sha256:")) {
    BT_AUTO_FREE char *text = code == BT_NOT_FOUND ? bt_strdup("it is not on this node any more: build or load it again")
                                                   : bt_strdup(message);
    image_settled(img, code, text, result);
    return;
  }
  struct bt_plugin *registry = bt_registry_for(img->agent->o.plugins, img->name);
  if (!registry) {
    pull_with(img, NULL);
    return;
  }
  const struct berth_registry *table = bt_plugin_methods(registry, BERTH_REGISTRY);
  struct berth_registry_credentials req = {sizeof req, .image = img->name};
  struct bt_plugin_call call = {
      .method = "registry.credentials", .deadline_ms = 15000, .done = image_credentials, .arg = img, .owner = img->agent};
  bt_plugin_invoke(registry, table, credentials, &call, &req);
}

int bt_image_ready(struct bt_inst *in, const char **id, const char **why) {
  struct bt_image *img = image_of(in);
  *id = img->id;
  *why = img->error;
  bool stale = img->state == BT_IMG_FAILED && bt_clock_mono_ms() - img->failed_ms > image_retry_ms;
  if (img->state == BT_IMG_PRESENT)
    return 1;
  if (img->state == BT_IMG_FAILED && !stale)
    return -1;
  if (img->state == BT_IMG_BUSY)
    return 0;
  img->state = BT_IMG_BUSY;
  struct berth_runtime_image req = {sizeof req, .image = img->name, .platform = img->platform};
  struct bt_plugin_call call = {
      .method = "runtime.image_inspect", .deadline_ms = 15000, .done = image_inspected, .arg = img};
  bt_agent_call(in->agent, image_inspect, &call, &req);
  return 0;
}
