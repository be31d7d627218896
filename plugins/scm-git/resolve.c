#include "resolve.h"

#include "refs.h"

enum { max_listing = 32 << 20 };

struct wanted {
  char *branch, *tag;
};

static void wanted_free(void *data) {
  struct wanted *w = data;
  free(w->branch);
  free(w->tag);
  free(w);
}

static void listed(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  const struct wanted *w = job->data;
  if (status != 0) {
    sg_job_fail_git(job, status, err, err_len);
    return;
  }
  PU_AUTO_FREE commit = NULL;
  PU_AUTO_FREE ref = NULL;
  if (!sg_refs_pick(out, out_len, w->branch, w->tag, &commit, &ref)) {
    sg_job_fail(job, BERTH_NOT_FOUND, "%s has no %s %s", job->url.text, w->branch ? "branch" : "tag that fits", w->branch ? w->branch : w->tag);
    return;
  }
  PU_AUTO_JSON result = json_pack("{s:s,s:o}", "commit", commit, "ref", pu_json_string(ref));
  sg_job_done(job, result);
}

static void start(struct sg_job *job) {
  const struct wanted *w = job->data;
  PU_AUTO_FREE ref = w->branch ? pu_asprintf("refs/heads/%s", w->branch) : pu_strdup("refs/tags/*");
  const char *const args[] = {"ls-remote", "--quiet", "--", job->url.text, ref, NULL};
  sg_job_git(job, false, args, NULL, max_listing, listed);
}

void sg_resolve(struct sg_jobs *jobs, berth_op op, const struct berth_scm_resolve *request) {
  struct wanted *w = pu_new(struct wanted);
  *w = (struct wanted){pu_strdup(request->branch), request->branch ? NULL : pu_strdup(request->tag ? request->tag : "*")};
  sg_job_begin(jobs, op, request->repository, NULL, NULL, start, w, wanted_free);
}
