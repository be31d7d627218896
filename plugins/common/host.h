/* What plug-ins ask of the host's services in the same way: sentences for the log, and streams in pieces. Knows nothing of products. */
#ifndef PU_HOST_H
#define PU_HOST_H

#include <berth/host.h>
#include <stdarg.h>

/* A stream that has so many bytes waiting at the host is not read on for. */
enum { pu_most_waiting = 1 << 20 };

/* Sends data of an operation in pieces of 1 MiB; the bytes that wait there now, of all channels. Nothing is sent for len 0, which asks. */
size_t pu_emit(const struct berth_host *host, const struct berth_host_ops *ops, berth_op id, int channel, const void *data, size_t len);
/* A sentence for the log; log may be NULL. */
void pu_vlog(const struct berth_host *host, const struct berth_host_log *log, enum berth_log_level level, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

#endif
