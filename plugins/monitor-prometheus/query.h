/* What Prometheus' HTTP API answers to a query (GET /api/v1/query), as berth_monitor.query has it. Pure. */
#ifndef MP_QUERY_H
#define MP_QUERY_H

#include <berth/plugin.h>
#include <jansson.h>

enum { MP_QUERY_MOST = 100 /* series */ };

/* The address to ask. base: "http://host:9090", with or without a path ("/prometheus", "/select/0/prometheus"). The caller frees. */
char *mp_query_url(const char *base, const char *query);
/* {"series": […]}, a new reference; or NULL with a code and a sentence, which the caller frees. */
json_t *mp_query_result(int status, const char *body, size_t len, enum berth_code *code, char **why);

#endif
