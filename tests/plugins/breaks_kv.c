/* Believes what it finds in the store. */
#define SIMPLE_START(self) recall(self)
#include <berth/plugin.h>
static enum berth_code recall(struct berth_instance *self);
#include "simple.h"

static bool found(void *arg, const char *key, const void *value, size_t len) {
  (void)arg, (void)key;
  if (len != 4 || memcmp(value, "good", 4) != 0)
    abort();
  return true;
}

static enum berth_code recall(struct berth_instance *self) {
  const struct berth_host_kv *kv = self->host->service(self->host, BERTH_HOST_KV);
  kv->scan(self->host, "", found, self);
  kv->put(self->host, "state", "good", 4, NULL, NULL);
  return BERTH_OK;
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
