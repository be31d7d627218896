#include "hooks.h"

#include <sodium.h>
#include <stdio.h>

#include "../common/util.h"
#include "push.h"

enum { remembered = 2048, id_len = 16 };

/* A delivery: by what the host calls it, and by what it holds, since the name alone is not under the proof of all hosts. */
struct seen {
  uint64_t number; /* 0: free */
  unsigned char id[id_len], body[id_len];
};

struct sg_hooks {
  const struct berth_host *host;
  const struct berth_host_routes *routes;
  const struct berth_host_events *events;
  const struct berth_host_kv *kv;
  const struct berth_host_timer *timer;
  const struct berth_host_log *log;
  const struct sg_settings *settings;
  berth_handle route;
  uint64_t last;
  int64_t complained_ms;
  struct seen seen[remembered];
};

static void reply(struct sg_hooks *h, berth_op op, int status, const char *word, const char *detail) {
  static const struct berth_pair json = {"Content-Type", "application/json"};
  PU_AUTO_JSON o = json_pack("{s:s,s:s}", "status", word, "detail", detail);
  PU_AUTO_FREE text = pu_json_text(o);
  h->routes->reply(h->host, op, status, &json, 1, text, strlen(text));
}

/* ---------------------------------------------------------------- what came before */

static void digest(const char *what, const void *data, size_t len, unsigned char out[id_len]) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, NULL, 0, id_len);
  crypto_generichash_update(&state, (const unsigned char *)what, strlen(what) + 1);
  crypto_generichash_update(&state, data, len);
  crypto_generichash_final(&state, out, id_len);
}

static bool is_known(const struct sg_hooks *h, const struct seen *s, bool named) {
  for (size_t i = 0; i < remembered; i++)
    if (h->seen[i].number && ((named && memcmp(h->seen[i].id, s->id, id_len) == 0) || memcmp(h->seen[i].body, s->body, id_len) == 0))
      return true;
  return false;
}

static bool load_one(void *arg, const char *key, const void *value, size_t len) {
  struct sg_hooks *h = arg;
  struct seen s;
  unsigned long slot = strtoul(key + 5, NULL, 10);
  if (slot < remembered && len == sizeof s) {
    memcpy(&s, value, sizeof s);
    h->seen[slot] = s;
    h->last = s.number > h->last ? s.number : h->last;
  }
  return true;
}

/* ---------------------------------------------------------------- a delivery */

struct delivery {
  struct sg_hooks *hooks;
  berth_op reply;
  uint64_t number; /* of what is remembered of it */
  json_t *push;    /* NULL: no news */
};

/* It is on disk that it came: a repetition is known from now on, also after a restart. */
static void stored(void *arg, enum berth_code code, const char *message) {
  struct delivery *d = arg;
  struct sg_hooks *h = d->hooks;
  if (code != BERTH_OK) {
    struct seen *s = &h->seen[d->number % remembered];
    if (s->number == d->number)
      *s = (struct seen){0}; /* its host will send it again, and then it counts */
    reply(h, d->reply, 503, "unavailable", message && *message ? message : "the delivery cannot be remembered");
  } else if (!d->push) {
    reply(h, d->reply, 200, "ignored", "nothing was pushed");
  } else {
    PU_AUTO_FREE data = pu_json_text(d->push);
    PU_AUTO_FREE text = pu_asprintf("a push to %.200s of %.300s", pu_str(d->push, "ref"),
                                    json_string_value(json_array_get(pu_arr(d->push, "repositories"), 0)));
    h->events->publish(h->host, "scm.changed", "info", text, data);
    reply(h, d->reply, 202, "accepted", "who follows it looks at once");
  }
  json_decref(d->push);
  free(d);
}

static void remember(struct sg_hooks *h, struct seen *s, struct delivery *d) {
  char key[16];
  s->number = ++h->last;
  size_t slot = s->number % remembered;
  h->seen[slot] = *s;
  d->number = s->number;
  snprintf(key, sizeof key, "hook/%04zu", slot);
  h->kv->put(h->host, key, s, sizeof *s, stored, d);
}

/* At most one line a minute, whoever knocks. */
static void complain(struct sg_hooks *h, const char *text) {
  int64_t now = h->timer->mono_ms(h->host);
  if (h->complained_ms && now - h->complained_ms < 60000)
    return;
  h->complained_ms = now;
  h->log->log(h->host, BERTH_LOG_WARN, text);
}

static void handle(void *arg, berth_op op, const struct berth_route_request *request) {
  struct sg_hooks *h = arg;
  struct sg_hook hook;
  struct seen s = {0};
  sg_hook_read(request->headers, request->nheaders, request->body ? request->body : "", request->body_len, h->settings->webhook_secret,
               h->timer->wall_ms(h->host) / 1000, &hook);
  if (!hook.proved) {
    complain(h, "a webhook came without the proof that it knows webhook_secret; it was refused");
    reply(h, op, 401, "unauthenticated", "the signature or token does not fit the secret of this webhook");
    return;
  }
  digest("id", hook.delivery, strlen(hook.delivery), s.id);
  digest("body", request->body ? request->body : "", request->body_len, s.body);
  if (is_known(h, &s, *hook.delivery)) {
    reply(h, op, 409, "conflict", "this delivery came before");
    return;
  }
  json_t *push = hook.push ? sg_push_read(request->body, request->body_len) : NULL;
  if (hook.push && !push) {
    reply(h, op, 400, "invalid", "that is no push as JSON: choose application/json as the webhook's content type");
    return;
  }
  struct delivery *d = pu_new(struct delivery);
  *d = (struct delivery){.hooks = h, .reply = op, .push = push};
  remember(h, &s, d);
}

/* ---------------------------------------------------------------- life */

struct sg_hooks *sg_hooks_new(const struct berth_host *host, const struct sg_settings *settings) {
  struct sg_hooks *h = pu_new(struct sg_hooks);
  h->host = host;
  h->routes = host->service(host, BERTH_HOST_ROUTES);
  h->events = host->service(host, BERTH_HOST_EVENTS);
  h->kv = host->service(host, BERTH_HOST_KV);
  h->timer = host->service(host, BERTH_HOST_TIMER);
  h->log = host->service(host, BERTH_HOST_LOG);
  h->settings = settings;
  if (!settings->webhook_secret || !h->routes || !h->events || !h->kv) {
    free(h);
    return NULL;
  }
  h->kv->scan(host, "hook/", load_one, h);
  PU_AUTO_FREE path = pu_asprintf("/hooks/%s", host->name);
  struct berth_route route = {.size = sizeof route,
                              .method = "POST",
                              .path = path,
                              .summary = "Webhook of a repository's host: GitHub, Gitea, GitLab",
                              .open = true,
                              .handle = handle,
                              .arg = h};
  h->route = h->routes->add(host, &route);
  if (!h->route)
    h->log->log(host, BERTH_LOG_ERROR, "the path for webhooks is taken; none come in");
  return h;
}

void sg_hooks_free(struct sg_hooks **hooks) {
  free(*hooks);
  *hooks = NULL;
}
