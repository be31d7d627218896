/* Where entries run: what the configuration asks for, with the defaults. */
#include "config.h"

#include "plugin/command.h"
#include "plugin/internal.h"

static struct bt_strs copy_texts(const struct bt_strs *from) {
  struct bt_strs copy = {0};
  for (size_t i = 0; from && i < from->len; i++)
    bt_strs_add(&copy, from->items[i]);
  return copy;
}

void bt_isolation_free(struct bt_isolation *iso) {
  free(iso->user);
  bt_strs_free(&iso->command);
  bt_strs_free(&iso->egress);
  *iso = (struct bt_isolation){0};
}

static bool same_texts(const struct bt_strs *a, const struct bt_strs *b) {
  for (size_t i = 0; a->len == b->len && i < a->len; i++)
    if (strcmp(a->items[i], b->items[i]) != 0)
      return false;
  return a->len == b->len;
}

bool bt_isolation_same(const struct bt_isolation *a, const struct bt_isolation *b) {
  return a->process == b->process && bt_streq(a->user, b->user) && a->memory == b->memory && a->files == b->files &&
         a->processes == b->processes && a->cpu == b->cpu && a->network == b->network && same_texts(&a->command, &b->command);
}

struct bt_isolation bt_isolation_of(const struct bt_plugin_isolation *want, const char *path) {
  bool process = want->mode == BT_PLUGIN_MODE_PROCESS || want->command || bt_command_is_script(path) ||
                 (want->mode == BT_PLUGIN_MODE_DEFAULT && !bt_loader_shipped(path));
  return (struct bt_isolation){.process = process,
                               .user = bt_strdup(want->user),
                               .memory = want->memory,
                               .files = want->files,
                               .processes = want->processes,
                               .cpu = want->cpu,
                               .network = want->network,
                               .command = copy_texts(want->command),
                               .listed = want->egress != NULL,
                               .egress = copy_texts(want->egress)};
}
