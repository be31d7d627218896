/* @NAME@: the beginning of a container engine for Berth: it tells what machine this is, and that there are no containers yet.
 *
 * Every other method says with BERTH_UNSUPPORTED that it is not there. Fill them in one after the other, in the order of
 * berth/runtime.h: with list, create, start, inspect, stop, remove and events the first container runs. */
#define _POSIX_C_SOURCE 200809L
#include <berth/host.h>
#include <berth/runtime.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { max_watchers = 16 };

/* One configured entry. The host never looks inside. */
struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  char *engine;
  berth_op watchers[max_watchers]; /* operations of events(): they run until they are cancelled; 0: free */
};

/* Every method gets an operation and finishes it exactly once, now or later. Takes result, which may be NULL. */
static void finish_json(struct berth_instance *self, berth_op op, json_t *result) {
  char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
  self->ops->finish(self->host, op, text ? BERTH_OK : BERTH_INTERNAL, "the result is no JSON", text);
  free(text);
  json_decref(result);
}

/* ---------------------------------------------------------------- berth.runtime/1: what is there */

static void info(struct berth_instance *self, berth_op op) {
  struct utsname u;
  long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  if (uname(&u) != 0) {
    self->ops->finish(self->host, op, BERTH_IO, "the system does not say what it is", NULL);
    return;
  }
  const char *arch = strcmp(u.machine, "x86_64") == 0 ? "amd64" : strcmp(u.machine, "aarch64") == 0 ? "arm64" : u.machine;
  char platform[96] = "linux/";
  strncat(platform, arch, sizeof platform - strlen(platform) - 1);
  finish_json(self, op,
              json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:b, s:[]}", "name", self->engine, "version", "0.1.0",
                        "api_version", "1", "os", "linux", "arch", arch, "platform", platform, "kernel", u.release, "cpus",
                        (double)cpus, "memory", (json_int_t)pages * page, "rootless", 0, "features"));
}

static void list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request) {
  (void)request;
  finish_json(self, op, json_pack("{s:[]}", "containers"));
}

static void network_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request) {
  (void)request;
  finish_json(self, op, json_pack("{s:[]}", "networks"));
}

static void volume_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request) {
  (void)request;
  finish_json(self, op, json_pack("{s:[]}", "volumes"));
}

/* Runs until cancelled. "connected" tells the host that what it hears from now on is all that happens. */
static void events(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request) {
  static const char connected[] = "{\"action\":\"connected\"}";
  (void)request;
  for (size_t i = 0; i < max_watchers; i++)
    if (!self->watchers[i]) {
      self->watchers[i] = op;
      self->ops->emit(self->host, op, BERTH_RUNTIME_EVENT, connected, sizeof connected - 1);
      return;
    }
  self->ops->finish(self->host, op, BERTH_EXHAUSTED, "too many watch the events of this entry", NULL);
}

/* ---------------------------------------------------------------- what is not there */

static void unsupported(struct berth_instance *self, berth_op op) {
  self->ops->finish(self->host, op, BERTH_UNSUPPORTED, "@NAME@ does not do this yet", NULL);
}

#define UNSUPPORTED(method, type)                                                   \
  static void method(struct berth_instance *self, berth_op op, const type *request) { \
    (void)request;                                                                  \
    unsupported(self, op);                                                          \
  }

UNSUPPORTED(image_inspect, struct berth_runtime_image)
UNSUPPORTED(image_pull, struct berth_runtime_image)
UNSUPPORTED(image_build, struct berth_runtime_build)
UNSUPPORTED(image_prune, struct berth_runtime_list)
UNSUPPORTED(network_ensure, struct berth_runtime_network)
UNSUPPORTED(network_remove, char)
UNSUPPORTED(volume_ensure, struct berth_runtime_volume)
UNSUPPORTED(volume_remove, char)
UNSUPPORTED(create_container, struct berth_runtime_create)
UNSUPPORTED(start_container, struct berth_runtime_container)
UNSUPPORTED(stop_container, struct berth_runtime_container)
UNSUPPORTED(kill_container, struct berth_runtime_container)
UNSUPPORTED(remove_container, struct berth_runtime_container)
UNSUPPORTED(inspect, struct berth_runtime_container)
UNSUPPORTED(logs, struct berth_runtime_logs)
UNSUPPORTED(exec, struct berth_runtime_exec)
UNSUPPORTED(stats, struct berth_runtime_container)
UNSUPPORTED(copy_in, struct berth_runtime_copy)
UNSUPPORTED(copy_out, struct berth_runtime_copy)

/* About an exec that runs; none ever does. */
static size_t input(struct berth_instance *self, berth_op op, const void *data, size_t len) {
  (void)self, (void)op, (void)data, (void)len;
  return 0;
}

static void resize(struct berth_instance *self, berth_op op, int32_t rows, int32_t cols) {
  (void)self, (void)op, (void)rows, (void)cols;
}

/* ---------------------------------------------------------------- configuration and life */

static void stop(struct berth_instance *self) {
  free(self->engine);
  free(self);
}

static enum berth_code start(const struct berth_host *host, const char *config, struct berth_instance **out, const char **why) {
  struct berth_instance *self = calloc(1, sizeof *self);
  json_t *o = json_loads(config, 0, NULL);
  const char *engine = json_string_value(json_object_get(o, "engine"));
  if (self && engine)
    self->engine = strdup(engine);
  json_decref(o);
  if (!self || !self->engine) {
    free(self);
    *why = "out of memory";
    return BERTH_EXHAUSTED;
  }
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  *out = self;
  return BERTH_OK;
}

/* The caller gave up. An op that has ended is not among the watchers any more. */
static void cancel(struct berth_instance *self, berth_op op) {
  for (size_t i = 0; i < max_watchers; i++)
    if (op && self->watchers[i] == op) {
      self->watchers[i] = 0;
      self->ops->finish(self->host, op, BERTH_CANCELLED, "cancelled", NULL);
      return;
    }
}

static const struct berth_field fields[] = {
    {.name = "engine", .type = BERTH_STRING, .fallback = "@NAME@", .doc = "The engine's name, as Berth shows it."}, {0}};

static const struct berth_runtime runtime = {.size = sizeof runtime,
                                             .info = info,
                                             .image_inspect = image_inspect,
                                             .image_pull = image_pull,
                                             .image_build = image_build,
                                             .image_prune = image_prune,
                                             .network_ensure = network_ensure,
                                             .network_remove = network_remove,
                                             .network_list = network_list,
                                             .volume_ensure = volume_ensure,
                                             .volume_remove = volume_remove,
                                             .volume_list = volume_list,
                                             .create = create_container,
                                             .start = start_container,
                                             .stop = stop_container,
                                             .kill = kill_container,
                                             .remove = remove_container,
                                             .inspect = inspect,
                                             .list = list,
                                             .events = events,
                                             .logs = logs,
                                             .exec = exec,
                                             .input = input,
                                             .resize = resize,
                                             .stats = stats,
                                             .copy_in = copy_in,
                                             .copy_out = copy_out};
static const struct berth_interface interfaces[] = {{BERTH_RUNTIME, &runtime}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, NULL};
static const struct berth_manifest manifest = {BERTH_MANIFEST_SIZES,
                                               .id = "@NAME@",
                                               .version = "0.1.0",
                                               .summary = "The beginning of a container engine.",
                                               .license = "@LICENSE@",
                                               .interfaces = interfaces,
                                               .needs = needs,
                                               .config = fields};

/* The one symbol that the host looks for. */
extern const struct berth_plugin BERTH_PLUGIN_SYMBOL BERTH_EXPORT;
const struct berth_plugin BERTH_PLUGIN_SYMBOL = {
    .size = sizeof(struct berth_plugin), .manifest = &manifest, .start = start, .stop = stop, .cancel = cancel};
