/* Samples as text: Prometheus' exposition format 0.0.4, or OpenMetrics 1.0. Pure. */
#ifndef MP_EXPOSITION_H
#define MP_EXPOSITION_H

#include <berth/host.h>

#include "../common/util.h"

struct mp_exposition;

/* max_series: samples beyond it are left out and counted. */
struct mp_exposition *mp_exposition_new(bool openmetrics, size_t max_series);
void mp_exposition_free(struct mp_exposition **e);
/* Samples of one family may come in pieces; they are put together. What is no metric (a bad name) is left out. */
void mp_exposition_add(struct mp_exposition *e, const struct berth_metric_sample *sample);
size_t mp_exposition_dropped(const struct mp_exposition *e);
void mp_exposition_text(const struct mp_exposition *e, struct pu_buf *out);

/* Does an Accept header prefer OpenMetrics to the plain text format? NULL: no. */
bool mp_wants_openmetrics(const char *accept);
const char *mp_content_type(bool openmetrics);

#endif
