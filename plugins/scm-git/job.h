/* Jobs: operations on repositories, one after the other for a repository, a few at once for all. Each is a row of git processes, which
 * get a bare environment, their own configuration and limits, and nothing else. Knows how git is run, not what for. */
#ifndef SG_JOB_H
#define SG_JOB_H

#include <berth/host.h>

#include "../common/util.h"
#include "settings.h"

struct sg_jobs;
struct sg_job;
struct sg_verify;

struct sg_jobs *sg_jobs_new(const struct berth_host *host, const struct sg_settings *settings); /* settings: borrowed */
void sg_jobs_free(struct sg_jobs **jobs);

/* Of a job that needs a commit in its mirror (mirror.h). */
struct sg_wanted {
  char *commit, *ref;                 /* ref: NULL where none is known */
  void (*look)(struct sg_job *job);   /* whether the mirror has it; sg_mirror_bring where not */
  bool tried_ref, tried_commit;
};

struct sg_job {
  struct sg_jobs *jobs;
  struct sg_job *next;
  berth_op op;
  struct sg_url url;
  char *mirror;   /* its folder in the cache */
  char *scratch;
  char *signers;  /* NULL: none */
  bool running, cancelled, too_large;
  struct sg_verify *verify; /* while a signature is checked */
  berth_handle child, watchdog;
  int64_t deadline;
  struct sg_wanted wanted;
  /* What to do when its turn comes; then step by step. free_data frees data. */
  void (*start)(struct sg_job *job);
  void (*step)(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len);
  void (*free_data)(void *data);
  void *data;
};

/* Makes a job and lines it up; refuses it (finishes op) where the repository is none that may be spoken to. start may come from inside.
 * wanted (NULL: nothing) is taken over with what it points to, and data. */
void sg_job_begin(struct sg_jobs *jobs, berth_op op, const char *repository, const char *signers, const struct sg_wanted *wanted,
                  void (*start)(struct sg_job *job), void *data, void (*free_data)(void *data));
void sg_jobs_refuse(struct sg_jobs *jobs, berth_op op, enum berth_code code, const char *why); /* without a job */
const struct berth_host *sg_jobs_host(const struct sg_jobs *jobs);
int64_t sg_jobs_max_repository(const struct sg_jobs *jobs);
/* True where op was among them. */
bool sg_jobs_cancel(struct sg_jobs *jobs, berth_op op);
/* Asks git for its version and finishes op with {"status","detail"}. */
void sg_jobs_probe(struct sg_jobs *jobs, berth_op op);

/* Runs git with these arguments (end with NULL; at most 32); then step. in_mirror: with the job's mirror as repository. input may be
 * NULL. */
void sg_job_git(struct sg_job *job, bool in_mirror, const char *const *args, const char *input, size_t max_output,
                void (*step)(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len));
/* Runs another program likewise. */
void sg_job_run(struct sg_job *job, const char *const *args,
                void (*step)(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len));
/* The mirror's size is watched while git runs: over the limit it is killed. */
void sg_job_watch(struct sg_job *job, bool on);
/* Bytes of its packs, and their number; < 0 packs where one was not finished. */
int64_t sg_mirror_size(const char *dir, int *packs);

/* The end of a job, exactly once. */
void sg_job_done(struct sg_job *job, const json_t *result);
void sg_job_fail(struct sg_job *job, enum berth_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* After a git that failed: what it said, as a sentence with the right code. */
void sg_job_fail_git(struct sg_job *job, int status, const char *err, size_t err_len);
/* The code and sentence for what git said; the caller frees the sentence. */
enum berth_code sg_git_error(const char *repository, const char *err, size_t len, char **sentence);

#endif
