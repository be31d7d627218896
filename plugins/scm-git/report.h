/* Statuses of commits, told to GitHub, Gitea and GitLab through their APIs. */
#ifndef SG_REPORT_H
#define SG_REPORT_H

#include <berth/host.h>
#include <berth/scm.h>

#include "settings.h"

/* Sends and finishes op. */
void sg_report(const struct berth_host *host, const struct sg_settings *settings, berth_op op, const struct berth_scm_status *request);

/* ---- pure, for tests ---- */

/* Where a status of that repository goes; the caller frees. */
char *sg_report_url(const struct sg_host *h, const struct sg_url *url, const char *commit);
/* What is sent; new reference. */
json_t *sg_report_body(enum sg_kind kind, const struct berth_scm_status *request);

#endif
