/* What the plug-ins beside this file share: they are built with the frozen headers in berth/, never with the present ones, as a plug-in
 * that somebody built a year ago. Each method tells what it was asked, so that a member that moved would be seen. */
#ifndef OLD_H
#define OLD_H

#include <berth/host.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  berth_op waiting; /* one that runs until it is cancelled */
  char config[512];
};

/* Finishes op with printf's JSON object. */
__attribute__((format(printf, 3, 4), unused)) static void say(struct berth_instance *self, berth_op op, const char *format, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  self->ops->finish(self->host, op, BERTH_OK, NULL, text);
}

__attribute__((unused)) static const char *or_none(const char *text) { return text ? text : "none"; }

__attribute__((unused)) static void refuse(struct berth_instance *self, berth_op op) {
  self->ops->finish(self->host, op, BERTH_UNSUPPORTED, "the old plug-in does not do that", NULL);
}

static enum berth_code old_start(const struct berth_host *host, const char *config, struct berth_instance **out, const char **why) {
  struct berth_instance *self = calloc(1, sizeof *self);
  if (!self || host->abi != BERTH_ABI || !host->service(host, BERTH_HOST_TIMER)) {
    free(self);
    *why = "this host is no host of the old ABI";
    return BERTH_INTERNAL;
  }
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  snprintf(self->config, sizeof self->config, "%s", config);
  *out = self;
  return BERTH_OK;
}

static void old_stop(struct berth_instance *self) { free(self); }

static void old_cancel(struct berth_instance *self, berth_op op) {
  if (op == self->waiting)
    self->ops->finish(self->host, op, BERTH_CANCELLED, "cancelled", NULL);
}

static const struct berth_field old_fields[] = {
    {.name = "greeting", .type = BERTH_STRING, .fallback = "ahoy", .doc = "A text."},
    {.name = "wait", .type = BERTH_DURATION, .fallback = "2s", .doc = "A duration.", .min = 0, .max = 60000},
    {0}};

#define OLD_PLUGIN(id_, interface, table)                                                                                 \
  static const struct berth_interface old_interfaces[] = {{interface, &table}, {0}};                                      \
  static const char *const old_needs[] = {BERTH_HOST_OPS, BERTH_HOST_TIMER, NULL};                                        \
  static const struct berth_manifest old_manifest = {BERTH_MANIFEST_SIZES, .id = id_, .version = "1.0.0",                 \
                                                     .summary = "Built with the frozen headers.", .license = "MIT",       \
                                                     .interfaces = old_interfaces, .needs = old_needs, .config = old_fields}; \
  extern const struct berth_plugin BERTH_PLUGIN_SYMBOL BERTH_EXPORT;                                                      \
  const struct berth_plugin BERTH_PLUGIN_SYMBOL = {.size = sizeof(struct berth_plugin), .manifest = &old_manifest,         \
                                                   .start = old_start, .stop = old_stop, .cancel = old_cancel}

#endif
