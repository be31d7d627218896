#define _GNU_SOURCE /* strcasestr */
#include "mirror.h"

#include <stdio.h>
#include <unistd.h>

enum { max_packs = 20 };

struct sg_wanted sg_wanted_of(const char *commit, const char *ref, void (*look)(struct sg_job *job)) {
  return (struct sg_wanted){.commit = pu_strdup(commit), .ref = ref && sg_is_ref(ref) ? pu_strdup(ref) : NULL, .look = look};
}

static void brought(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  (void)out, (void)out_len;
  /* The ref may be gone while the commit is still given out. */
  if (status != 0 && (status < 0 || job->too_large || job->wanted.tried_commit))
    sg_job_fail_git(job, status, err, err_len);
  else if (status != 0 && strcasestr(err_len ? err : "", "remote ref") == NULL)
    sg_job_fail_git(job, status, err, err_len);
  else
    job->wanted.look(job);
}

/* By its name first, which every host allows; then, where the name moved on meanwhile, by its id. */
void sg_mirror_bring(struct sg_job *job) {
  struct sg_wanted *w = &job->wanted;
  if (w->tried_commit) {
    sg_job_fail(job, BERTH_NOT_FOUND, "%s: commit %.12s is gone", job->url.text, w->commit);
    return;
  }
  bool by_ref = w->ref && !w->tried_ref;
  w->tried_ref = true;
  w->tried_commit = !by_ref;
  PU_AUTO_FREE spec = pu_asprintf("+%s:refs/berth/fetched", by_ref ? w->ref : w->commit);
  const char *const args[] = {"fetch",     "--quiet",     "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
                              "--no-auto-maintenance", "--refmap=", "--force", "--",      job->url.text, spec, NULL};
  sg_job_watch(job, true);
  sg_job_git(job, true, args, NULL, 256 << 10, brought);
}

static void initialised(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  (void)out, (void)out_len;
  if (status != 0)
    sg_job_fail_git(job, status, err, err_len);
  else
    job->wanted.look(job);
}

static void init(struct sg_job *job) {
  const char *const args[] = {"init", "--quiet", "--bare", "--template=", job->mirror, NULL};
  sg_job_git(job, false, args, NULL, 65536, initialised);
}

static void removed(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  (void)out, (void)out_len;
  if (status != 0)
    sg_job_fail_git(job, status, err, err_len);
  else
    init(job);
}

/* A mirror that grew old, or that was left half-way, is made anew: what it holds comes again in one piece. */
void sg_mirror_start(struct sg_job *job) {
  PU_AUTO_FREE head = pu_asprintf("%s/HEAD", job->mirror);
  int packs;
  bool there = access(head, F_OK) == 0;
  int64_t size = there ? sg_mirror_size(job->mirror, &packs) : 0;
  if (there && packs >= 0 && packs <= max_packs && size <= sg_jobs_max_repository(job->jobs)) {
    job->wanted.look(job);
  } else if (access(job->mirror, F_OK) == 0) {
    const char *const args[] = {"rm", "-rf", "--", job->mirror, NULL};
    sg_job_run(job, args, removed);
  } else {
    init(job);
  }
}
