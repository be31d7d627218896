/* registry-oci: berth.registry/1 for registries that speak the OCI distribution specification. */
#include <berth/host.h>
#include <berth/registry.h>

#include "../common/plugin.h"
#include "../common/util.h"
#include "client.h"
#include "notify.h"
#include "../common/reference.h"
#include "resolve.h"
#include "settings.h"
#include "tags.h"

struct probe;

struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  struct ro_settings settings;
  struct ro_client *client;
  struct ro_resolve *resolves;
  struct ro_tags *listings;
  struct ro_notify *notify; /* NULL: none */
  struct probe *probes;
};

/* ---------------------------------------------------------------- methods */

static bool serves(struct berth_instance *self, const char *image) {
  struct pu_reference ref;
  if (!image || !pu_reference_parse(image, &ref))
    return false;
  bool listed = ro_settings_of(&self->settings, ref.registry) != NULL;
  pu_reference_free(&ref);
  return listed || self->settings.others;
}

static void resolve(struct berth_instance *self, berth_op op, const struct berth_registry_resolve *request) {
  ro_resolve_start(&self->resolves, self->host, self->client, &self->settings, op, request->image, request->platform);
}

static void tags(struct berth_instance *self, berth_op op, const struct berth_registry_tags *request) {
  ro_tags_start(&self->listings, self->host, self->client, op, request->image);
}

static void credentials(struct berth_instance *self, berth_op op, const struct berth_registry_credentials *request) {
  struct pu_reference ref;
  if (!request->image || !pu_reference_parse(request->image, &ref)) {
    self->ops->finish(self->host, op, BERTH_INVALID, "that is no image reference as registry/name:tag", NULL);
    return;
  }
  const struct ro_registry *r = ro_settings_of(&self->settings, ref.registry);
  PU_AUTO_JSON o = json_object();
  if (r && r->identity_token)
    json_object_set_new(o, "identity_token", pu_json_string(r->identity_token));
  if (r && r->username && r->password && !r->identity_token) {
    json_object_set_new(o, "username", pu_json_string(r->username));
    json_object_set_new(o, "password", pu_json_string(r->password));
  }
  if (json_object_size(o))
    json_object_set_new(o, "server", pu_json_string(ref.registry));
  if (r && r->nmirrors) {
    json_t *mirrors = json_array();
    for (size_t i = 0; i < r->nmirrors; i++)
      json_array_append_new(mirrors, pu_json_string(r->mirrors[i]));
    json_object_set_new(o, "mirrors", mirrors);
  }
  pu_reference_free(&ref);
  char *text = pu_json_text(o);
  self->ops->finish(self->host, op, BERTH_OK, NULL, text);
  pu_wipe_free(text);
}

/* ---------------------------------------------------------------- probe */

/* GET /v2/ of every listed registry at once. */
struct probe {
  struct berth_instance *self;
  struct probe *next;
  berth_op op;
  size_t open;
  bool cancelled;
  struct probe_one {
    struct probe *of;
    char *name;
    struct ro_call *call;
    char *status, *detail;
  } *ones;
  size_t n;
};

static const char *status_name(enum berth_code code) {
  switch (code) {
  case BERTH_OK:
    return "ok";
  case BERTH_UNAUTHENTICATED:
    return "unauthenticated";
  case BERTH_DENIED:
    return "denied";
  case BERTH_NOT_FOUND:
    return "not_found";
  default:
    return "unavailable";
  }
}

static void probe_end(struct probe *p) {
  struct berth_instance *self = p->self;
  json_t *list = json_array();
  for (size_t i = 0; i < p->n; i++) {
    json_array_append_new(list, json_pack("{s:o,s:s,s:o}", "name", pu_json_string(p->ones[i].name), "status",
                                          p->ones[i].status, "detail", pu_json_string(p->ones[i].detail)));
    free(p->ones[i].name);
    free(p->ones[i].status);
    free(p->ones[i].detail);
  }
  PU_AUTO_JSON o = json_pack("{s:o}", "registries", list);
  PU_AUTO_FREE text = pu_json_text(o);
  if (p->cancelled)
    self->ops->finish(self->host, p->op, BERTH_CANCELLED, "cancelled", NULL);
  else
    self->ops->finish(self->host, p->op, BERTH_OK, NULL, text);
  struct probe **at = &self->probes;
  while (*at != p)
    at = &(*at)->next;
  *at = p->next;
  free(p->ones);
  free(p);
}

static void probe_answer(void *arg, const struct ro_answer *a) {
  struct probe_one *one = arg;
  one->status = pu_strdup(status_name(a->code));
  one->detail = pu_strdup(a->code == BERTH_OK ? "it answers" : a->message);
  if (a->code == BERTH_CANCELLED)
    one->of->cancelled = true;
  if (--one->of->open == 0)
    probe_end(one->of);
}

static void probe(struct berth_instance *self, berth_op op) {
  struct probe *p = pu_new(struct probe);
  p->self = self;
  p->op = op;
  p->next = self->probes;
  self->probes = p;
  p->n = self->settings.n;
  p->ones = pu_calloc(p->n, sizeof *p->ones);
  p->open = p->n + 1; /* one for this function, so that no answer ends it early */
  for (size_t i = 0; i < p->n; i++) {
    struct probe_one *one = &p->ones[i];
    one->of = p;
    one->name = pu_strdup(self->settings.registries[i].name);
    struct ro_request request = {
        .registry = one->name, .method = "GET", .path = "/v2/", .what = one->name, .done = probe_answer, .arg = one};
    ro_client_send(self->client, &request, &one->call);
  }
  if (--p->open == 0)
    probe_end(p);
}

static void cancel(struct berth_instance *self, berth_op op) {
  if (ro_resolve_cancel(self->resolves, op) || ro_tags_cancel(self->listings, op))
    return;
  for (struct probe *p = self->probes; p; p = p->next) {
    if (p->op != op)
      continue;
    p->cancelled = true;
    for (size_t i = 0; i < p->n; i++)
      ro_call_cancel(p->ones[i].call);
    return;
  }
}

/* ---------------------------------------------------------------- life */

PU_SETTINGS(struct ro_settings, ro_settings_read, ro_settings_free)

static enum berth_code start(const struct berth_host *host, const char *config_json, struct berth_instance **out,
                             const char **why) {
  struct ro_settings settings;
  enum berth_code code = read_settings(config_json, &settings, why);
  if (code != BERTH_OK)
    return code;
  struct berth_instance *self = pu_new(struct berth_instance);
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->settings = settings;
  self->client = ro_client_new(host, &self->settings);
  self->notify = ro_notify_new(host, self->settings.notify_authorization);
  *out = self;
  return BERTH_OK;
}

/* What is on its way goes on with names that it copied; the next requests see the new settings. */
static enum berth_code reload(struct berth_instance *self, const char *config_json, const char **why) {
  struct ro_settings fresh;
  enum berth_code code = read_settings(config_json, &fresh, why);
  if (code != BERTH_OK)
    return code;
  ro_settings_free(&self->settings);
  self->settings = fresh;
  ro_client_forget(self->client);
  return BERTH_OK;
}

/* The host has ended all requests by now: resolves and probes are gone. */
static void stop(struct berth_instance *self) {
  ro_client_free(&self->client);
  ro_notify_free(&self->notify);
  ro_settings_free(&self->settings);
  free(self);
}

static const struct berth_field fields[] = {
    {.name = "registries",
     .type = BERTH_JSON,
     .fallback = "{}",
     .secret = true,
     .doc = "What is known of each registry, by host: username, password, identity_token, mirrors, ca_file, insecure."},
    {.name = "others",
     .type = BERTH_BOOL,
     .fallback = "true",
     .doc = "Speak, without a login, for registries that are not listed, too."},
    {.name = "timeout",
     .type = BERTH_DURATION,
     .fallback = "10s",
     .min = 100,
     .max = 300000,
     .doc = "How long one request to a registry or token server may take."},
    {.name = "notify_authorization",
     .type = BERTH_STRING,
     .secret = true,
     .immutable = true,
     .doc = "The whole Authorization header that registries send with their notifications, such as \"Bearer …\"; without it none are taken."},
    {0}};

static const struct berth_registry methods = {
    .size = sizeof methods, .serves = serves, .resolve = resolve, .credentials = credentials, .probe = probe, .tags = tags};
static const struct berth_interface interfaces[] = {{BERTH_REGISTRY, &methods}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, BERTH_HOST_HTTP, BERTH_HOST_TIMER, NULL};
PU_PLUGIN("registry-oci", "Image registries after the OCI distribution specification.", interfaces, needs, fields, (),
          .validate = validate, .start = start, .reload = reload, .stop = stop, .cancel = cancel);
