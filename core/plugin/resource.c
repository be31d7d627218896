#include "config.h"
#include "plugin/internal.h"

void bt_resource_add(struct bt_plugin *entry, struct bt_resource *resource, const struct bt_resource_kind *kind) {
  resource->kind = kind;
  resource->entry = entry;
  resource->id = bt_slots_add(&entry->plugins->handles, resource);
  resource->prev = NULL;
  resource->next = entry->resources;
  if (resource->next)
    resource->next->prev = resource;
  entry->resources = resource;
}

void bt_resource_del(struct bt_resource *resource) {
  struct bt_plugin *entry = resource->entry;
  if (!entry)
    return;
  if (resource->prev)
    resource->prev->next = resource->next;
  else
    entry->resources = resource->next;
  if (resource->next)
    resource->next->prev = resource->prev;
  bt_slots_del(&entry->plugins->handles, resource->id);
  resource->entry = NULL;
  resource->prev = resource->next = NULL;
}

struct bt_resource *bt_resource_get(struct bt_plugin *entry, berth_handle id, const struct bt_resource_kind *kind) {
  struct bt_resource *resource = bt_slots_get(&entry->plugins->handles, id);
  return resource && resource->entry == entry && resource->kind == kind ? resource : NULL;
}

void bt_resources_detach(struct bt_plugin *entry) {
  while (entry->resources) {
    struct bt_resource *resource = entry->resources;
    bt_resource_del(resource);
    resource->kind->detach(resource, entry);
  }
}
