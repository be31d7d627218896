/* A chat plug-in in a few lines, for tests: the file that includes this defines simple_send() and may set the macros. */
#ifndef BERTH_TESTS_SIMPLE_H
#define BERTH_TESTS_SIMPLE_H

#include <berth/chat.h>
#include <berth/host.h>
#include <stdlib.h>
#include <string.h>

struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  int rounds; /* of what the test counts */
};

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request);

static void simple_probe(struct berth_instance *self, berth_op op) {
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{\"status\":\"ok\"}");
}

#ifndef SIMPLE_CANCEL
#define SIMPLE_CANCEL(self, op) (self)->ops->finish((self)->host, (op), BERTH_CANCELLED, "cancelled", NULL)
#endif

#ifndef SIMPLE_START
#define SIMPLE_START(self) BERTH_OK
#endif

static enum berth_code simple_start(const struct berth_host *host, const char *config, struct berth_instance **out,
                                    const char **why) {
  (void)config, (void)why;
  struct berth_instance *self = calloc(1, sizeof *self);
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  *out = self;
  return SIMPLE_START(self);
}

static void simple_stop(struct berth_instance *self) { free(self); }
static void simple_cancel(struct berth_instance *self, berth_op op) { SIMPLE_CANCEL(self, op); }

static const struct berth_chat simple_chat = {.size = sizeof simple_chat, .send = simple_send, .probe = simple_probe};
static const struct berth_interface simple_interfaces[] = {{BERTH_CHAT, &simple_chat}, {0}};

#ifndef SIMPLE_ABI
#define SIMPLE_ABI BERTH_ABI
#endif
#ifndef SIMPLE_SYMBOL
#define SIMPLE_SYMBOL BERTH_PLUGIN_SYMBOL
#endif
#ifndef SIMPLE_NEEDS
#define SIMPLE_NEEDS BERTH_HOST_OPS
#endif
#ifndef SIMPLE_CONFIG
#define SIMPLE_CONFIG NULL
#endif

#ifndef SIMPLE_ID
#define SIMPLE_ID "chat-simple"
#endif
#ifndef SIMPLE_MEMBERS /* further members of the manifest */
#define SIMPLE_MEMBERS
#endif
#ifndef SIMPLE_MORE /* further members of the plug-in: , .validate = validate */
#define SIMPLE_MORE
#endif

static const char *const simple_needs[] = {SIMPLE_NEEDS, NULL};
static const struct berth_manifest simple_manifest = {.size = sizeof simple_manifest,
                                                      .abi = SIMPLE_ABI,
                                                      .id = SIMPLE_ID,
                                                      .version = "1.0.0",
                                                      .summary = "A plug-in of the tests.",
                                                      .license = "MIT",
                                                      .interfaces = simple_interfaces,
                                                      .needs = simple_needs,
                                                      .config = SIMPLE_CONFIG,
                                                      .field_size = sizeof(struct berth_field),
                                                      .depend_size = sizeof(struct berth_depend),
                                                      SIMPLE_MEMBERS};
extern const struct berth_plugin SIMPLE_SYMBOL BERTH_EXPORT;
const struct berth_plugin SIMPLE_SYMBOL = {.size = sizeof SIMPLE_SYMBOL,
                                           .manifest = &simple_manifest,
                                           .start = simple_start,
                                           .stop = simple_stop,
                                           .cancel = simple_cancel SIMPLE_MORE};

#endif
