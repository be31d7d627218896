/* berth.host.ops/1 and berth.host.log/1: what any thread of a plug-in may call. */
#include "config.h"

#include <stdio.h>

#include "base/log.h"
#include "plugin/internal.h"

static void ops_finish(const struct berth_host *host, berth_op op, enum berth_code code, const char *message,
                       const char *result_json) {
  bt_ops_finish(host, op, bt_plugin_code(code), message, result_json, result_json ? strlen(result_json) : 0);
}

static size_t ops_emit(const struct berth_host *host, berth_op op, int channel, const void *data, size_t len) {
  return bt_ops_emit(host, op, channel, data, len);
}

const struct berth_host_ops bt_service_ops = {.size = sizeof bt_service_ops, .finish = ops_finish, .emit = ops_emit};

static void log_log(const struct berth_host *host, enum berth_log_level level, const char *text) {
  static const enum bt_log_level levels[] = {BT_LOG_DEBUG, BT_LOG_INFO, BT_LOG_WARN, BT_LOG_ERROR};
  const struct bt_host_cell *cell = (const struct bt_host_cell *)host;
  bt_log((unsigned)level < BT_COUNT(levels) ? levels[level] : BT_LOG_ERROR, cell->label, "%s", text ? text : "");
}

const struct berth_host_log bt_service_log = {.size = sizeof bt_service_log, .log = log_log};
