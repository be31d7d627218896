#include "config.h"
#include "plugin/describe.h"

#include <berth/chat.h>
#include <berth/lb.h>
#include <berth/monitor.h>
#include <berth/registry.h>
#include <berth/runtime.h>
#include <berth/scm.h>
#include <string.h>

#include "base/mem.h"

/* The size of a struct up to and with a member: what the first version of a header had, whatever was appended since. */
#define SIZE_THROUGH(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

#define ARG(type, member, kind_) {.name = #member, .kind = BT_ARG_##kind_, .offset = offsetof(struct type, member)}
#define PLAIN(table, method, ...) \
  {.name = #method, .shape = BT_SHAPE_PLAIN, .slot = offsetof(struct table, method), __VA_ARGS__}
#define REQUEST(table, method, type, args_, ...)                                                                       \
  {.name = #method, .shape = BT_SHAPE_REQUEST, .slot = offsetof(struct table, method), .size = sizeof(struct type), \
   .args = args_, __VA_ARGS__}
#define TEXT(table, method, what) \
  {.name = #method, .shape = BT_SHAPE_TEXT, .slot = offsetof(struct table, method), .text = what}

/* ---------------------------------------------------------------- chat */

static const struct bt_arg chat_send[] = {ARG(berth_chat_send, channel, STRING),
                                          ARG(berth_chat_send, text, STRING),
                                          ARG(berth_chat_send, severity, STRING),
                                          {0}};
static const struct bt_method chat[] = {
    REQUEST(berth_chat, send, berth_chat_send, chat_send), PLAIN(berth_chat, probe), {0}};

/* ---------------------------------------------------------------- lb */

static const struct bt_arg lb_apply[] = {ARG(berth_lb_apply, state_json, JSON), {0}};
static const struct bt_arg lb_update[] = {ARG(berth_lb_update, changes_json, JSON), {0}};
static const struct bt_arg lb_drain[] = {ARG(berth_lb_drain, endpoint, STRING), ARG(berth_lb_drain, deadline_ms, INT), {0}};
static const struct bt_channel lb_events[] = {{BERTH_LB_EVENT, "event", true}, {0}};
static const struct bt_method lb[] = {REQUEST(berth_lb, apply, berth_lb_apply, lb_apply),
                                      REQUEST(berth_lb, update, berth_lb_update, lb_update),
                                      REQUEST(berth_lb, drain, berth_lb_drain, lb_drain),
                                      PLAIN(berth_lb, stats),
                                      PLAIN(berth_lb, events, .channels = lb_events),
                                      PLAIN(berth_lb, probe),
                                      {0}};

/* ---------------------------------------------------------------- monitor */

static const struct bt_arg monitor_query[] = {ARG(berth_monitor_query, query, STRING), {0}};
static const struct bt_method monitor[] = {
    PLAIN(berth_monitor, probe), REQUEST(berth_monitor, query, berth_monitor_query, monitor_query), {0}};

/* ---------------------------------------------------------------- registry */

static const struct bt_arg registry_resolve[] = {ARG(berth_registry_resolve, image, STRING),
                                                 ARG(berth_registry_resolve, platform, STRING),
                                                 {0}};
static const struct bt_arg registry_credentials[] = {ARG(berth_registry_credentials, image, STRING), {0}};
static const struct bt_arg registry_tags[] = {ARG(berth_registry_tags, image, STRING), {0}};
static const struct bt_method registry[] = {
    {.name = "serves", .shape = BT_SHAPE_ASK, .slot = offsetof(struct berth_registry, serves), .text = "image"},
    REQUEST(berth_registry, resolve, berth_registry_resolve, registry_resolve),
    REQUEST(berth_registry, credentials, berth_registry_credentials, registry_credentials),
    PLAIN(berth_registry, probe),
    REQUEST(berth_registry, tags, berth_registry_tags, registry_tags),
    {0}};

/* ---------------------------------------------------------------- runtime */

#define RT(method, type, args, ...) REQUEST(berth_runtime, method, type, args, __VA_ARGS__)

static const struct bt_arg rt_image[] = {ARG(berth_runtime_image, image, STRING),
                                         ARG(berth_runtime_image, platform, STRING),
                                         ARG(berth_runtime_image, auth_json, JSON),
                                         {0}};
static const struct bt_arg rt_build[] = {ARG(berth_runtime_build, context, STRING),
                                         ARG(berth_runtime_build, build_json, JSON),
                                         ARG(berth_runtime_build, tags_json, JSON),
                                         ARG(berth_runtime_build, auth_json, JSON),
                                         ARG(berth_runtime_build, secrets, BLOBS),
                                         {0}};
_Static_assert(sizeof(struct berth_runtime_secret) == sizeof(struct bt_blob), "a blob is a name, bytes and their length");
static const struct bt_arg rt_network[] = {ARG(berth_runtime_network, name, STRING),
                                           ARG(berth_runtime_network, spec_json, JSON),
                                           ARG(berth_runtime_network, labels_json, JSON),
                                           {0}};
static const struct bt_arg rt_volume[] = {ARG(berth_runtime_volume, name, STRING),
                                          ARG(berth_runtime_volume, spec_json, JSON),
                                          ARG(berth_runtime_volume, labels_json, JSON),
                                          {0}};
static const struct bt_arg rt_create[] = {ARG(berth_runtime_create, spec_json, JSON), {0}};
static const struct bt_arg rt_container[] = {ARG(berth_runtime_container, id, STRING),
                                             ARG(berth_runtime_container, signal, STRING),
                                             ARG(berth_runtime_container, timeout_ms, INT),
                                             ARG(berth_runtime_container, force, BOOL),
                                             ARG(berth_runtime_container, volumes, BOOL),
                                             {0}};
static const struct bt_arg rt_list[] = {ARG(berth_runtime_list, label, STRING), {0}};
static const struct bt_arg rt_logs[] = {ARG(berth_runtime_logs, id, STRING),
                                        ARG(berth_runtime_logs, follow, BOOL),
                                        ARG(berth_runtime_logs, timestamps, BOOL),
                                        ARG(berth_runtime_logs, tail, INT),
                                        ARG(berth_runtime_logs, since_ms, INT),
                                        ARG(berth_runtime_logs, until_ms, INT),
                                        {0}};
static const struct bt_arg rt_exec[] = {ARG(berth_runtime_exec, id, STRING),
                                        ARG(berth_runtime_exec, command_json, JSON),
                                        ARG(berth_runtime_exec, env_json, JSON),
                                        ARG(berth_runtime_exec, user, STRING),
                                        ARG(berth_runtime_exec, workdir, STRING),
                                        ARG(berth_runtime_exec, tty, BOOL),
                                        ARG(berth_runtime_exec, stdin_open, BOOL),
                                        ARG(berth_runtime_exec, privileged, BOOL),
                                        ARG(berth_runtime_exec, rows, INT32),
                                        ARG(berth_runtime_exec, cols, INT32),
                                        {0}};
static const struct bt_arg rt_copy[] = {ARG(berth_runtime_copy, id, STRING),
                                        ARG(berth_runtime_copy, path, STRING),
                                        ARG(berth_runtime_copy, tar, BYTES),
                                        {0}};
static const struct bt_arg rt_update[] = {ARG(berth_runtime_update, id, STRING), ARG(berth_runtime_update, resources_json, JSON), {0}};
static const struct bt_arg rt_import[] = {ARG(berth_runtime_import, path, STRING), ARG(berth_runtime_import, name, STRING), {0}};
static const struct bt_arg rt_collect[] = {ARG(berth_runtime_collect, keep_json, JSON), {0}};
static const struct bt_arg rt_ready[] = {ARG(berth_runtime_ready, id, STRING), ARG(berth_runtime_ready, ready, BOOL), {0}};

static const struct bt_channel rt_progress[] = {{BERTH_RUNTIME_PROGRESS, "progress", true}, {0}};
static const struct bt_channel rt_output[] = {{BERTH_RUNTIME_STDOUT, "stdout", false}, {BERTH_RUNTIME_STDERR, "stderr", false}, {0}};
static const struct bt_channel rt_lines[] = {{BERTH_RUNTIME_STDOUT, "stdout", false},
                                             {BERTH_RUNTIME_STDERR, "stderr", false},
                                             {BERTH_RUNTIME_LINE, "line", true},
                                             {0}};
static const struct bt_channel rt_events[] = {{BERTH_RUNTIME_EVENT, "event", true}, {0}};
static const struct bt_channel rt_tar[] = {{BERTH_RUNTIME_STDOUT, "stdout", false}, {0}};

static const struct bt_method runtime[] = {
    PLAIN(berth_runtime, info),
    RT(image_inspect, berth_runtime_image, rt_image),
    RT(image_pull, berth_runtime_image, rt_image, .channels = rt_progress),
    RT(image_build, berth_runtime_build, rt_build, .channels = rt_progress),
    RT(image_prune, berth_runtime_list, rt_list),
    RT(network_ensure, berth_runtime_network, rt_network),
    TEXT(berth_runtime, network_remove, "name"),
    RT(network_list, berth_runtime_list, rt_list),
    RT(volume_ensure, berth_runtime_volume, rt_volume),
    TEXT(berth_runtime, volume_remove, "name"),
    RT(volume_list, berth_runtime_list, rt_list),
    RT(create, berth_runtime_create, rt_create),
    RT(start, berth_runtime_container, rt_container),
    RT(stop, berth_runtime_container, rt_container),
    RT(kill, berth_runtime_container, rt_container),
    RT(remove, berth_runtime_container, rt_container),
    RT(inspect, berth_runtime_container, rt_container),
    RT(list, berth_runtime_list, rt_list),
    RT(events, berth_runtime_list, rt_list, .channels = rt_events),
    RT(logs, berth_runtime_logs, rt_logs, .channels = rt_lines),
    RT(exec, berth_runtime_exec, rt_exec, .channels = rt_output),
    {.name = "input", .shape = BT_SHAPE_INPUT, .slot = offsetof(struct berth_runtime, input)},
    {.name = "resize", .shape = BT_SHAPE_RESIZE, .slot = offsetof(struct berth_runtime, resize)},
    RT(stats, berth_runtime_container, rt_container),
    RT(copy_in, berth_runtime_copy, rt_copy),
    RT(copy_out, berth_runtime_copy, rt_copy, .channels = rt_tar),
    RT(update, berth_runtime_update, rt_update),
    RT(pause, berth_runtime_container, rt_container),
    RT(unpause, berth_runtime_container, rt_container),
    RT(image_list, berth_runtime_list, rt_list),
    RT(image_import, berth_runtime_import, rt_import, .channels = rt_progress),
    RT(image_remove, berth_runtime_image, rt_image),
    RT(ready, berth_runtime_ready, rt_ready),
    RT(image_collect, berth_runtime_collect, rt_collect),
    {0}};

/* ---------------------------------------------------------------- scm */

static const struct bt_arg scm_resolve[] = {ARG(berth_scm_resolve, repository, STRING),
                                            ARG(berth_scm_resolve, branch, STRING),
                                            ARG(berth_scm_resolve, tag, STRING),
                                            {0}};
static const struct bt_arg scm_fetch[] = {ARG(berth_scm_fetch, repository, STRING),
                                          ARG(berth_scm_fetch, commit, STRING),
                                          ARG(berth_scm_fetch, ref, STRING),
                                          ARG(berth_scm_fetch, paths_json, JSON),
                                          ARG(berth_scm_fetch, signers, STRING),
                                          {0}};
static const struct bt_arg scm_status[] = {ARG(berth_scm_status, repository, STRING),
                                           ARG(berth_scm_status, commit, STRING),
                                           ARG(berth_scm_status, state, STRING),
                                           ARG(berth_scm_status, context, STRING),
                                           ARG(berth_scm_status, description, STRING),
                                           ARG(berth_scm_status, url, STRING),
                                           {0}};
static const struct bt_arg scm_tree[] = {ARG(berth_scm_tree, repository, STRING),
                                         ARG(berth_scm_tree, commit, STRING),
                                         ARG(berth_scm_tree, ref, STRING),
                                         ARG(berth_scm_tree, path, STRING),
                                         ARG(berth_scm_tree, send, BOOL),
                                         {0}};
static const struct bt_channel scm_bytes[] = {{BERTH_SCM_TREE, "tree", false}, {0}};
static const struct bt_method scm[] = {REQUEST(berth_scm, resolve, berth_scm_resolve, scm_resolve),
                                       REQUEST(berth_scm, fetch, berth_scm_fetch, scm_fetch),
                                       REQUEST(berth_scm, status, berth_scm_status, scm_status),
                                       PLAIN(berth_scm, probe),
                                       REQUEST(berth_scm, tree, berth_scm_tree, scm_tree, .channels = scm_bytes),
                                       {0}};

/* ---------------------------------------------------------------- all */

static const struct bt_interface interfaces[] = {
    {BERTH_RUNTIME, "runtime", SIZE_THROUGH(struct berth_runtime, copy_out), sizeof(struct berth_runtime), runtime},
    {BERTH_REGISTRY, "registry", SIZE_THROUGH(struct berth_registry, probe), sizeof(struct berth_registry), registry},
    {BERTH_MONITOR, "monitor", SIZE_THROUGH(struct berth_monitor, probe), sizeof(struct berth_monitor), monitor},
    {BERTH_LB, "lb", SIZE_THROUGH(struct berth_lb, probe), sizeof(struct berth_lb), lb},
    {BERTH_CHAT, "chat", SIZE_THROUGH(struct berth_chat, probe), sizeof(struct berth_chat), chat},
    {BERTH_SCM, "scm", SIZE_THROUGH(struct berth_scm, probe), sizeof(struct berth_scm), scm},
};

const struct bt_interface *bt_interface_at(size_t i) { return i < BT_COUNT(interfaces) ? &interfaces[i] : NULL; }

const struct bt_interface *bt_interface_of(const char *id) {
  for (size_t i = 0; i < BT_COUNT(interfaces); i++)
    if (strcmp(interfaces[i].id, id) == 0)
      return &interfaces[i];
  return NULL;
}

const struct bt_method *bt_interface_method(const struct bt_interface *interface, const char *name) {
  for (const struct bt_method *m = interface->methods; m->name; m++)
    if (strcmp(m->name, name) == 0)
      return m;
  return NULL;
}

bool bt_method_in(const struct bt_method *method, const void *table) {
  size_t size;
  void *fn = NULL;
  memcpy(&size, table, sizeof size);
  if (size < method->slot + sizeof fn)
    return false;
  memcpy(&fn, (const char *)table + method->slot, sizeof fn);
  return fn != NULL;
}
