/* @NAME@: the login of one registry, and what an image with a digest is.
 *
 * What it does not do yet: ask the registry what a tag means. resolve() says so with BERTH_UNSUPPORTED; with berth.host.http/1
 * and the OCI distribution specification (HEAD /v2/<name>/manifests/<tag>) that is the next thing to write. */
#define _POSIX_C_SOURCE 200809L
#include <berth/host.h>
#include <berth/registry.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* One configured entry. The host never looks inside. */
struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  json_t *config; /* registry, username, password */
};

static const char *config_text(const struct berth_instance *self, const char *name) {
  return json_string_value(json_object_get(self->config, name));
}

/* Every method gets an operation and finishes it exactly once, now or later. Takes result, which may be NULL. */
static void finish_json(struct berth_instance *self, berth_op op, json_t *result) {
  char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
  self->ops->finish(self->host, op, text ? BERTH_OK : BERTH_INTERNAL, "the result is no JSON", text);
  free(text);
  json_decref(result);
}

/* ---------------------------------------------------------------- berth.registry/1 */

/* "registry.example:5000/team/web:1.2" is of "registry.example:5000". */
static bool serves(struct berth_instance *self, const char *image) {
  const char *registry = config_text(self, "registry");
  size_t n = strlen(registry);
  return image && strncmp(image, registry, n) == 0 && image[n] == '/';
}

static void resolve(struct berth_instance *self, berth_op op, const struct berth_registry_resolve *request) {
  const char *digest = request->image ? strstr(request->image, "@sha256:") : NULL;
  if (!serves(self, request->image))
    self->ops->finish(self->host, op, BERTH_INVALID, "the image is not of this entry's registry", NULL);
  else if (!digest)
    self->ops->finish(self->host, op, BERTH_UNSUPPORTED,
                      "@NAME@ does not ask the registry what a tag means: name the image with its digest (…@sha256:…)", NULL);
  else
    finish_json(self, op, json_pack("{s:s}", "digest", digest + 1));
}

static void credentials(struct berth_instance *self, berth_op op, const struct berth_registry_credentials *request) {
  const char *username = config_text(self, "username");
  if (!serves(self, request->image))
    self->ops->finish(self->host, op, BERTH_INVALID, "the image is not of this entry's registry", NULL);
  else if (!username)
    self->ops->finish(self->host, op, BERTH_OK, NULL, "{}"); /* anonymous */
  else
    finish_json(self, op, json_pack("{s:s, s:s, s:s}", "username", username, "password", config_text(self, "password"), "server",
                                    config_text(self, "registry")));
}

static void probe(struct berth_instance *self, berth_op op) {
  finish_json(self, op, json_pack("{s:[{s:s, s:s, s:s}]}", "registries", "name", config_text(self, "registry"), "status", "ok",
                                  "detail", "not asked: this plug-in only knows the login"));
}

/* ---------------------------------------------------------------- configuration and life */

static enum berth_code validate(const char *config, const char **why) {
  json_t *o = json_loads(config, 0, NULL);
  bool pair = !json_object_get(o, "username") == !json_object_get(o, "password");
  json_decref(o);
  if (!pair)
    *why = "\"username\" and \"password\" go together: give both, or none for an anonymous registry";
  return pair ? BERTH_OK : BERTH_INVALID;
}

static enum berth_code start(const struct berth_host *host, const char *config, struct berth_instance **out, const char **why) {
  struct berth_instance *self = calloc(1, sizeof *self);
  json_t *o = self ? json_loads(config, 0, NULL) : NULL;
  if (!o || !json_is_string(json_object_get(o, "registry"))) {
    json_decref(o);
    free(self);
    *why = "out of memory, or no \"registry\" in the configuration";
    return BERTH_EXHAUSTED;
  }
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->config = o;
  *out = self;
  return BERTH_OK;
}

static void stop(struct berth_instance *self) {
  json_decref(self->config);
  free(self);
}

/* No method here takes longer than its call, so there is nothing to cancel. */
static void cancel(struct berth_instance *self, berth_op op) {
  (void)self;
  (void)op;
}

static const struct berth_field fields[] = {
    {.name = "registry", .type = BERTH_STRING, .required = true, .doc = "Host and port of the registry, as images name it."},
    {.name = "username", .type = BERTH_STRING, .doc = "Whose login it is; without one the registry is anonymous."},
    {.name = "password", .type = BERTH_STRING, .secret = true, .doc = "The login's password."},
    {0}};

static const struct berth_registry registry = {
    .size = sizeof registry, .serves = serves, .resolve = resolve, .credentials = credentials, .probe = probe};
static const struct berth_interface interfaces[] = {{BERTH_REGISTRY, &registry}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, NULL};
static const struct berth_manifest manifest = {BERTH_MANIFEST_SIZES,
                                               .id = "@NAME@",
                                               .version = "0.1.0",
                                               .summary = "The login of one registry.",
                                               .license = "@LICENSE@",
                                               .interfaces = interfaces,
                                               .needs = needs,
                                               .config = fields};

/* The one symbol that the host looks for. */
extern const struct berth_plugin BERTH_PLUGIN_SYMBOL BERTH_EXPORT;
const struct berth_plugin BERTH_PLUGIN_SYMBOL = {.size = sizeof(struct berth_plugin),
                                                 .manifest = &manifest,
                                                 .validate = validate,
                                                 .start = start,
                                                 .stop = stop,
                                                 .cancel = cancel};
