#include "config.h"
#include "host.h"

#include "util.h"

size_t pu_emit(const struct berth_host *host, const struct berth_host_ops *ops, berth_op id, int channel, const void *data, size_t len) {
  enum { piece = 1 << 20 };
  if (!len)
    return ops->emit(host, id, channel, NULL, 0);
  size_t waiting = 0;
  for (size_t at = 0; at < len; at += piece)
    waiting = ops->emit(host, id, channel, (const char *)data + at, len - at < piece ? len - at : piece);
  return waiting;
}

void pu_vlog(const struct berth_host *host, const struct berth_host_log *log, enum berth_log_level level, const char *fmt, va_list ap) {
  if (!log)
    return;
  PU_AUTO_FREE text = pu_vasprintf(fmt, ap);
  log->log(host, level, text);
}
