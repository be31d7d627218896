#include "notify.h"

#include <sodium.h>

#include "../common/util.h"

enum { max_pushes = 64, max_ids = 256, id_len = 16 };

struct ro_notify {
  const struct berth_host *host;
  const struct berth_host_routes *routes;
  const struct berth_host_events *events;
  char *authorization;
  unsigned char seen[max_ids][id_len]; /* bodies that came; registries send again what was not answered in time */
  size_t next;
};

static bool known(struct ro_notify *n, const void *body, size_t len) {
  unsigned char id[id_len];
  crypto_generichash(id, sizeof id, body, len, NULL, 0);
  for (size_t i = 0; i < max_ids; i++)
    if (memcmp(n->seen[i], id, sizeof id) == 0)
      return true;
  memcpy(n->seen[n->next++ % max_ids], id, sizeof id);
  return false;
}

static json_t *push_of(const json_t *event) {
  const json_t *target = pu_obj(event, "target");
  const char *repository = pu_str(target, "repository"), *tag = pu_str(target, "tag"), *digest = pu_str(target, "digest");
  if (!pu_eq(pu_str(event, "action"), "push") || !repository || !*repository || strlen(repository) > 256 || !tag || strlen(tag) > 128)
    return NULL;
  json_t *o = json_pack("{s:o,s:o}", "repository", pu_json_string(repository), "tag", pu_json_string(tag));
  json_object_set_new(o, "digest", digest && strlen(digest) < 200 ? pu_json_string(digest) : json_null());
  return o;
}

json_t *ro_notify_read(const char *body, size_t len) {
  PU_AUTO_JSON o = pu_json_parse(body, len);
  const json_t *events = pu_arr(o, "events");
  json_t *pushes = json_array(), *event;
  size_t i;
  if (!events) {
    json_decref(pushes);
    return NULL;
  }
  json_array_foreach(events, i, event) {
    json_t *push = json_array_size(pushes) < max_pushes ? push_of(event) : NULL;
    for (size_t k = 0; push && k < json_array_size(pushes); k++)
      if (json_equal(push, json_array_get(pushes, k))) {
        json_decref(push);
        push = NULL;
      }
    if (push)
      json_array_append_new(pushes, push);
  }
  return pushes;
}

static bool proved(const struct ro_notify *n, const struct berth_route_request *request) {
  unsigned char is[32], want[32];
  const char *header = "";
  for (size_t i = 0; i < request->nheaders; i++)
    if (pu_eq(request->headers[i].name, "authorization"))
      header = request->headers[i].value;
  crypto_hash_sha256(is, (const unsigned char *)header, strlen(header));
  crypto_hash_sha256(want, (const unsigned char *)n->authorization, strlen(n->authorization));
  return sodium_memcmp(is, want, sizeof is) == 0;
}

static void reply(struct ro_notify *n, berth_op op, int status, const char *text) {
  static const struct berth_pair json = {"Content-Type", "application/json"};
  PU_AUTO_JSON o = json_pack("{s:s}", "detail", text);
  PU_AUTO_FREE body = pu_json_text(o);
  n->routes->reply(n->host, op, status, &json, 1, body, strlen(body));
}

static void handle(void *arg, berth_op op, const struct berth_route_request *request) {
  struct ro_notify *n = arg;
  const char *body = request->body_len ? request->body : "";
  if (!proved(n, request)) {
    reply(n, op, 401, "the Authorization header is not the one of this registry");
    return;
  }
  PU_AUTO_JSON pushes = ro_notify_read(body, request->body_len);
  if (!pushes) {
    reply(n, op, 400, "that is no list of a registry's events");
    return;
  }
  size_t i;
  json_t *push;
  if (!known(n, body, request->body_len))
    json_array_foreach(pushes, i, push) {
      PU_AUTO_FREE data = pu_json_text(push);
      PU_AUTO_FREE text = pu_asprintf("%s:%s was pushed", pu_str(push, "repository"), pu_str(push, "tag"));
      n->events->publish(n->host, "registry.pushed", "info", text, data);
    }
  reply(n, op, 202, "accepted");
}

struct ro_notify *ro_notify_new(const struct berth_host *host, const char *authorization) {
  const struct berth_host_routes *routes = host->service(host, BERTH_HOST_ROUTES);
  const struct berth_host_events *events = host->service(host, BERTH_HOST_EVENTS);
  if (!authorization || !routes || !events)
    return NULL;
  struct ro_notify *n = pu_new(struct ro_notify);
  n->host = host;
  n->routes = routes;
  n->events = events;
  n->authorization = pu_strdup(authorization);
  PU_AUTO_FREE path = pu_asprintf("/hooks/%s", host->name);
  struct berth_route route = {.size = sizeof route,
                              .method = "POST",
                              .path = path,
                              .summary = "Notifications of a registry",
                              .open = true,
                              .handle = handle,
                              .arg = n};
  if (!routes->add(host, &route)) {
    const struct berth_host_log *log = host->service(host, BERTH_HOST_LOG);
    log->log(host, BERTH_LOG_ERROR, "the path for notifications is taken; none come in");
  }
  return n;
}

void ro_notify_free(struct ro_notify **notify) {
  if (*notify)
    pu_wipe_free((*notify)->authorization);
  free(*notify);
  *notify = NULL;
}
