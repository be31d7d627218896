#include "report.h"

#include <stdio.h>

#include "../common/util.h"

struct report {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  berth_op op;
  char *name; /* of the host, for sentences */
};

static void report_end(struct report *r, enum berth_code code, const char *message) {
  r->ops->finish(r->host, r->op, code, message, NULL);
  free(r->name);
  free(r);
}

static enum berth_code code_of(int status) {
  switch (status) {
  case 401:
    return BERTH_UNAUTHENTICATED;
  case 403:
    return BERTH_DENIED;
  case 404:
    return BERTH_NOT_FOUND;
  default:
    return status >= 400 && status < 500 && status != 429 ? BERTH_INVALID : BERTH_UNAVAILABLE;
  }
}

static void answered(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  struct report *r = arg;
  if (code != BERTH_OK) {
    PU_AUTO_FREE text = pu_asprintf("%s: %s", r->name, message);
    report_end(r, code == BERTH_CANCELLED ? code : BERTH_UNAVAILABLE, text);
    return;
  }
  PU_AUTO_FREE said = pu_strndup(len ? body : "", len < 200 ? len : 200);
  /* GitLab refuses what is the status already. */
  if ((status >= 200 && status < 300) || strstr(said, "Cannot transition status")) {
    report_end(r, BERTH_OK, NULL);
    return;
  }
  for (char *p = said; *p; p++)
    if ((unsigned char)*p < ' ')
      *p = ' ';
  PU_AUTO_FREE text = pu_asprintf("%s answers with status %d: %s", r->name, status, said);
  report_end(r, code_of(status), text);
}

/* ---------------------------------------------------------------- requests */

char *sg_report_url(const struct sg_host *h, const struct sg_url *url, const char *commit) {
  static const char *const usual[] = {"", "/api/v3", "/api/v1", "/api/v4"};
  PU_AUTO_FREE project = sg_url_project(url);
  PU_AUTO_FREE base = h->api                              ? pu_strdup(h->api)
                      : pu_eq(url->host, "github.com") ? pu_strdup("https://api.github.com")
                                                       : pu_asprintf("https://%s%s", url->scheme == SG_SSH ? url->host : url->authority, usual[h->kind]);
  size_t n = strlen(base);
  while (n && base[n - 1] == '/')
    base[--n] = '\0';
  PU_AUTO_BUF b = {0};
  pu_buf_adds(&b, base);
  pu_buf_adds(&b, h->kind == SG_GITLAB ? "/projects/" : "/repos/");
  pu_url_add(&b, project, h->kind == SG_GITLAB ? "" : "/");
  pu_buf_addf(&b, "/statuses/%s", commit);
  return pu_buf_steal(&b);
}

json_t *sg_report_body(enum sg_kind kind, const struct berth_scm_status *request) {
  bool gitlab = kind == SG_GITLAB;
  const char *state = request->state;
  if (gitlab && pu_eq(state, "failure"))
    state = "failed";
  if (gitlab && pu_eq(state, "pending"))
    state = "running";
  json_t *o = json_pack("{s:s,s:o,s:o}", "state", state, gitlab ? "name" : "context", pu_json_string(request->context), "description",
                        pu_json_string(request->description ? request->description : ""));
  if (request->url)
    json_object_set_new(o, "target_url", pu_json_string(request->url));
  return o;
}

static void send(struct report *r, const struct sg_host *h, const struct sg_url *url, const struct berth_scm_status *request) {
  const struct berth_host_http *http = r->host->service(r->host, BERTH_HOST_HTTP);
  PU_AUTO_FREE to = sg_report_url(h, url, request->commit);
  PU_AUTO_JSON o = sg_report_body(h->kind, request);
  PU_AUTO_FREE body = pu_json_text(o);
  char *login = h->kind == SG_GITLAB ? pu_strdup(h->token) : pu_asprintf("%s %s", h->kind == SG_GITEA ? "token" : "Bearer", h->token);
  struct berth_pair headers[] = {{"Content-Type", "application/json"},
                                 {"Accept", h->kind == SG_GITHUB ? "application/vnd.github+json" : "application/json"},
                                 {"User-Agent", "berth"},
                                 {h->kind == SG_GITLAB ? "PRIVATE-TOKEN" : "Authorization", login},
                                 {"X-GitHub-Api-Version", "2022-11-28"}};
  struct berth_http_request out = {.size = sizeof out,
                                   .method = "POST",
                                   .url = to,
                                   .headers = headers,
                                   .nheaders = PU_COUNT(headers) - (h->kind != SG_GITHUB),
                                   .body = body,
                                   .body_len = strlen(body),
                                   .timeout_ms = 20000,
                                   .max_body = 256 * 1024,
                                   .tls_ca_file = h->ca_file,
                                   .done = answered,
                                   .arg = r};
  berth_handle request_handle = http->request(r->host, &out);
  pu_wipe_free(login);
  if (!request_handle)
    report_end(r, BERTH_UNAVAILABLE, "the plug-in is stopping");
}

void sg_report(const struct berth_host *host, const struct sg_settings *settings, berth_op op, const struct berth_scm_status *request) {
  struct report *r = pu_new(struct report);
  struct sg_url url;
  const char *why;
  *r = (struct report){host, host->service(host, BERTH_HOST_OPS), op, NULL};
  if (!sg_is_commit(request->commit) || !request->state || !request->context || !sg_url_parse(request->repository, &url, &why)) {
    report_end(r, BERTH_INVALID, "a status needs the address of a repository, a full commit id, a state and a context");
    return;
  }
  const struct sg_host *h = sg_settings_host(settings, &url);
  r->name = pu_strdup(url.authority);
  if (!h || h->kind == SG_PLAIN || !h->token)
    report_end(r, BERTH_UNSUPPORTED, "there is no token for that host in the plug-in's configuration, or it has no API that is known");
  else
    send(r, h, &url, request);
  sg_url_free(&url);
}
