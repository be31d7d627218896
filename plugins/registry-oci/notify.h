/* Notifications of registries ("distribution" and what follows it): POST with a list of events, proved by a static Authorization
 * header. */
#ifndef RO_NOTIFY_H
#define RO_NOTIFY_H

#include <berth/host.h>
#include <jansson.h>

struct ro_notify;

/* NULL where there is no authorization, or the host has no routes. authorization is copied. */
struct ro_notify *ro_notify_new(const struct berth_host *host, const char *authorization);
void ro_notify_free(struct ro_notify **notify);

/* ---- pure, for tests ---- */

/* The pushes of tags among the events of a body, each once: [{"repository","tag","digest"}]; new reference, NULL where it is no such body. */
json_t *ro_notify_read(const char *body, size_t len);

#endif
