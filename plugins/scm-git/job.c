#define _GNU_SOURCE /* strcasestr, vasprintf */
#include "job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "verify.h"

enum { watch_every_ms = 200, max_args = 48, cpu_seconds = 600, min_minor = 34 /* of 2.x: GIT_CONFIG_GLOBAL, signatures by ssh */ };

struct sg_jobs {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_child *children;
  const struct berth_host_timer *timer;
  const struct sg_settings *settings;
  char *base;          /* of scratch folders */
  int lock;            /* that holds it */
  struct sg_job *first;
  bool known, asking;  /* git's version */
  char *version, *why;
  berth_op probe;
  int running;
};

static void pump(struct sg_jobs *jobs);

/* ---------------------------------------------------------------- the end of a job */

static void wanted_free(struct sg_wanted *w) {
  free(w->commit);
  free(w->ref);
}

static void job_free(struct sg_job *job) {
  struct sg_jobs *jobs = job->jobs;
  struct sg_job **at = &jobs->first;
  while (*at != job)
    at = &(*at)->next;
  *at = job->next;
  if (job->running)
    jobs->running--;
  jobs->timer->cancel(jobs->host, job->watchdog);
  sg_scratch_remove(job->scratch);
  sg_url_free(&job->url);
  free(job->mirror);
  free(job->scratch);
  free(job->signers);
  wanted_free(&job->wanted);
  sg_verify_free(job->verify);
  job->free_data(job->data);
  free(job);
}

/* Whatever came of it: who gave up hears that it was cancelled. */
static void end(struct sg_job *job, enum berth_code code, const char *message, const char *result) {
  struct sg_jobs *jobs = job->jobs;
  if (job->cancelled)
    jobs->ops->finish(jobs->host, job->op, BERTH_CANCELLED, "cancelled", NULL);
  else
    jobs->ops->finish(jobs->host, job->op, code, message, result);
  job_free(job);
  pump(jobs);
}

void sg_job_done(struct sg_job *job, const json_t *result) {
  PU_AUTO_FREE text = pu_json_text(result);
  end(job, BERTH_OK, NULL, text);
}

void sg_job_fail(struct sg_job *job, enum berth_code code, const char *fmt, ...) {
  va_list ap;
  char text[1024];
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  end(job, code, text, NULL);
}

/* ---------------------------------------------------------------- what git says */

enum berth_code sg_git_error(const char *repository, const char *err, size_t len, char **sentence) {
  static const struct {
    const char *says;
    enum berth_code code;
    const char *mend;
  } known[] = {
      {"Host key verification failed", BERTH_DENIED, "its host key is not among known_hosts of the plug-in's configuration"},
      {"No ED25519 host key is known", BERTH_DENIED, "its host key is not among known_hosts of the plug-in's configuration"},
      {"Permission denied (", BERTH_UNAUTHENTICATED, "it does not take the ssh key of the plug-in's configuration"},
      {"could not read Username", BERTH_UNAUTHENTICATED, "it wants a login: name one under hosts: of the plug-in's configuration"},
      {"could not read Password", BERTH_UNAUTHENTICATED, "it wants a login: name one under hosts: of the plug-in's configuration"},
      {"Authentication failed", BERTH_UNAUTHENTICATED, "it does not take the login of the plug-in's configuration"},
      {"returned error: 401", BERTH_UNAUTHENTICATED, "it does not take the login of the plug-in's configuration"},
      {"returned error: 403", BERTH_DENIED, "the login of the plug-in's configuration may not read it"},
      {"returned error: 3", BERTH_INVALID, "it has moved: name its new address"},
      {"unable to update url base from redirection", BERTH_INVALID, "it has moved: name its new address"},
      {"returned error: 5", BERTH_UNAVAILABLE, "its host has a failure of its own"},
      {"not found", BERTH_NOT_FOUND, "there is no such repository, or it is not to be seen"},
      {"does not appear to be a git repository", BERTH_NOT_FOUND, "there is no such repository"},
      {"not exported", BERTH_NOT_FOUND, "there is no such repository, or it is not to be seen"},
      {"does not exist", BERTH_NOT_FOUND, "there is no such repository"},
      {"couldn't find remote ref", BERTH_NOT_FOUND, "the branch or tag is gone"},
      {"not our ref", BERTH_NOT_FOUND, "the commit is gone"},
      {"transport '", BERTH_UNSUPPORTED, "git does not speak that protocol here"},
      {"SSL certificate problem", BERTH_DENIED, "its certificate does not hold: name a ca_file under hosts: of the plug-in's configuration"},
      {"File too large", BERTH_TOO_LARGE, "it is larger than max_repository of the plug-in's configuration"},
      {"dubious ownership", BERTH_DENIED, "its folder belongs to somebody else"},
  };
  PU_AUTO_FREE text = pu_strndup(err, len > 4000 ? 4000 : len);
  for (size_t i = 0; i < PU_COUNT(known); i++)
    if (strcasestr(text, known[i].says)) {
      *sentence = pu_asprintf("%s: %s", repository, known[i].mend);
      return known[i].code;
    }
  const char *line = strstr(text, "fatal: ");
  line = line ? line + 7 : text;
  *sentence = pu_asprintf("%s: %.*s", repository, (int)strcspn(line, "\n"), *line ? line : "git failed and said nothing");
  for (char *p = *sentence; *p; p++)
    if ((unsigned char)*p < ' ')
      *p = ' ';
  return BERTH_UNAVAILABLE;
}

void sg_job_fail_git(struct sg_job *job, int status, const char *err, size_t err_len) {
  int packs;
  bool full = job->too_large || status == -25 /* SIGXFSZ */ || sg_mirror_size(job->mirror, &packs) >= job->jobs->settings->max_repository;
  if (full)
    sg_job_fail(job, BERTH_TOO_LARGE, "%s: it is larger than max_repository of the plug-in's configuration", job->url.text);
  else if (status == 127) {
    job->jobs->known = false; /* it was there a moment ago */
    sg_job_fail(job, BERTH_UNAVAILABLE, "git is not on the server's machine: install it (apt-get install git)");
  } else if (status < 0)
    sg_job_fail(job, BERTH_DEADLINE, "%s: git took longer than timeout of the plug-in's configuration, or was killed", job->url.text);
  else {
    PU_AUTO_FREE sentence = NULL;
    enum berth_code code = sg_git_error(job->url.text, err, err_len, &sentence);
    sg_job_fail(job, code, "%s", sentence);
  }
}

/* ---------------------------------------------------------------- children */

struct strings {
  const char *items[max_args];
  size_t n;
  char *owned[16];
  size_t nowned;
};

static void push(struct strings *s, const char *text) {
  if (s->n + 1 < max_args)
    s->items[s->n++] = text;
}

static void push_owned(struct strings *s, char *text) {
  s->owned[s->nowned++] = text;
  push(s, text);
}

static void strings_free(struct strings *s) {
  for (size_t i = 0; i < s->nowned; i++)
    free(s->owned[i]);
}

/* All that a child sees. A login is in none of it. */
static void environment(const struct sg_job *job, struct strings *env) {
  static const char *const fixed[] = {"LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false",
                                      "SSH_ASKPASS_REQUIRE=never", "GIT_PROTOCOL_FROM_USER=0", "GIT_NO_REPLACE_OBJECTS=1",
                                      "GIT_OPTIONAL_LOCKS=0", "GIT_LITERAL_PATHSPECS=1", "GIT_SSH_VARIANT=ssh"};
  const char *path = getenv("PATH"), *dir = job->scratch;
  push_owned(env, pu_asprintf("PATH=%s", path ? path : "/usr/local/bin:/usr/bin:/bin"));
  for (size_t i = 0; i < PU_COUNT(fixed); i++)
    push(env, fixed[i]);
  if (!dir)
    return;
  push_owned(env, pu_asprintf("HOME=%s", dir));
  push_owned(env, pu_asprintf("GIT_CONFIG_GLOBAL=%s/config", dir));
  push_owned(env, pu_asprintf("GIT_ALLOW_PROTOCOL=%s", sg_scheme_name(job->url.scheme)));
  push_owned(env, pu_asprintf("GNUPGHOME=%s/gnupg", dir));
  /* git hands this to a shell: dir is ours, and has no character that means something there. */
  push_owned(env, pu_asprintf("GIT_SSH_COMMAND=ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -i %s/key "
                              "-o StrictHostKeyChecking=yes -o UserKnownHostsFile=%s/known_hosts -o GlobalKnownHostsFile=/dev/null "
                              "-o ClearAllForwardings=yes -o PermitLocalCommand=no -o ConnectTimeout=15",
                              dir, dir));
}

static void on_child(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct sg_job *job = arg;
  job->child = 0;
  sg_job_watch(job, false);
  if (job->cancelled)
    sg_job_fail(job, BERTH_CANCELLED, "cancelled");
  else
    job->step(job, status, out, out_len, err, err_len);
}

static bool spawn(struct sg_job *job, struct strings *argv, const char *input, size_t max_output) {
  struct sg_jobs *jobs = job->jobs;
  struct strings env = {0};
  environment(job, &env);
  int64_t left = job->deadline - jobs->timer->mono_ms(jobs->host);
  struct berth_child_request request = {.size = sizeof request,
                                        .argv = argv->items,
                                        .env = env.items,
                                        .cwd = "/",
                                        .input = input,
                                        .input_len = input ? strlen(input) : 0,
                                        .timeout_ms = left > 100 ? left : 100,
                                        .max_output = max_output,
                                        .done = on_child,
                                        .arg = job};
  job->child = jobs->children->spawn(jobs->host, &request);
  strings_free(&env);
  return job->child != 0;
}

/* Limits of a child: how large a file may become, its time on the processor, its open files; no core, no new privileges. */
static void limits(const struct sg_job *job, struct strings *argv) {
  push(argv, "prlimit");
  push_owned(argv, pu_asprintf("--fsize=%lld", (long long)job->jobs->settings->max_repository));
  push_owned(argv, pu_asprintf("--cpu=%d", cpu_seconds));
  push(argv, "--core=0");
  push(argv, "--nofile=256");
  push(argv, "setpriv");
  push(argv, "--no-new-privs");
}

static void run(struct sg_job *job, struct strings *argv, const char *const *args, const char *input, size_t max_output) {
  for (; *args; args++)
    push(argv, *args);
  bool fine = spawn(job, argv, input, max_output);
  strings_free(argv);
  if (!fine)
    sg_job_fail(job, BERTH_UNAVAILABLE, "git cannot be started: prlimit and setpriv (util-linux) are needed as well");
}

void sg_job_git(struct sg_job *job, bool in_mirror, const char *const *args, const char *input, size_t max_output,
                void (*step)(struct sg_job *, int, const char *, size_t, const char *, size_t)) {
  struct strings argv = {0};
  job->step = step;
  limits(job, &argv);
  push(&argv, job->jobs->settings->git);
  if (in_mirror)
    push_owned(&argv, pu_asprintf("--git-dir=%s", job->mirror));
  run(job, &argv, args, input, max_output);
}

void sg_job_run(struct sg_job *job, const char *const *args,
                void (*step)(struct sg_job *, int, const char *, size_t, const char *, size_t)) {
  struct strings argv = {0};
  job->step = step;
  limits(job, &argv);
  run(job, &argv, args, NULL, 65536);
}

/* ---------------------------------------------------------------- the size of a mirror */

int64_t sg_mirror_size(const char *dir, int *packs) {
  PU_AUTO_FREE path = pu_asprintf("%s/objects/pack", dir);
  DIR *d = opendir(path);
  int64_t sum = 0;
  bool unfinished = false;
  *packs = 0;
  for (struct dirent *e; d && (e = readdir(d));) {
    struct stat st;
    if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
      sum += st.st_size;
    unfinished = unfinished || pu_starts(e->d_name, "tmp_");
    const char *dot = strrchr(e->d_name, '.');
    *packs += dot && strcmp(dot, ".pack") == 0;
  }
  if (d)
    closedir(d);
  if (unfinished)
    *packs = -1;
  return sum;
}

static void on_watchdog(void *arg) {
  struct sg_job *job = arg;
  struct sg_jobs *jobs = job->jobs;
  int packs;
  job->watchdog = 0;
  if (sg_mirror_size(job->mirror, &packs) > jobs->settings->max_repository) {
    job->too_large = true;
    jobs->children->kill(jobs->host, job->child);
  } else {
    sg_job_watch(job, true);
  }
}

void sg_job_watch(struct sg_job *job, bool on) {
  struct sg_jobs *jobs = job->jobs;
  if (on && !job->watchdog)
    job->watchdog = jobs->timer->after(jobs->host, watch_every_ms, on_watchdog, job);
  if (!on && job->watchdog) {
    jobs->timer->cancel(jobs->host, job->watchdog);
    job->watchdog = 0;
  }
}

/* ---------------------------------------------------------------- git's version */

static void answer_probe(struct sg_jobs *jobs) {
  if (!jobs->probe)
    return;
  static const char prefix[] = "git version ";
  const char *known = jobs->why ? jobs->why : jobs->version;
  bool told = jobs->version && strncmp(jobs->version, prefix, sizeof prefix - 1) == 0;
  PU_AUTO_JSON o = json_pack("{s:s,s:o,s:o}", "status", jobs->why ? "unusable" : known ? "ok" : "unknown", "detail",
                             pu_json_string(known ? known : "git has not told its version yet"), "version",
                             pu_json_string(told ? jobs->version + sizeof prefix - 1 : ""));
  PU_AUTO_FREE text = pu_json_text(o);
  berth_op op = jobs->probe;
  jobs->probe = 0;
  jobs->ops->finish(jobs->host, op, BERTH_OK, NULL, text);
}

static void on_version(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct sg_jobs *jobs = arg;
  int major = 0, minor = 0;
  (void)err, (void)err_len;
  PU_AUTO_FREE text = pu_strndup(out, out_len);
  text[strcspn(text, "\r\n")] = '\0';
  jobs->asking = false;
  pu_set(&jobs->version, pu_strdup(text));
  pu_set(&jobs->why, NULL);
  if (status != 0)
    pu_set(&jobs->why, pu_strdup("git is not on the server's machine: install it (apt-get install git)"));
  else if (sscanf(text, "git version %d.%d", &major, &minor) != 2 || major < 2 || (major == 2 && minor < min_minor))
    pu_set(&jobs->why, pu_asprintf("%.60s is too old: 2.%d is needed", text, min_minor));
  jobs->known = jobs->why == NULL;
  answer_probe(jobs);
  while (jobs->why && jobs->first) {
    struct sg_job *job = jobs->first;
    while (job && job->running)
      job = job->next;
    if (!job)
      break;
    PU_AUTO_FREE why = pu_strdup(jobs->why);
    jobs->ops->finish(jobs->host, job->op, BERTH_UNAVAILABLE, why, NULL);
    job_free(job);
  }
  if (jobs->known)
    pump(jobs);
}

static void ask_version(struct sg_jobs *jobs) {
  if (jobs->asking)
    return;
  const char *const argv[] = {jobs->settings->git, "--version", NULL};
  struct berth_child_request request = {
      .size = sizeof request, .argv = argv, .timeout_ms = 10000, .max_output = 4096, .done = on_version, .arg = jobs};
  jobs->asking = true;
  if (!jobs->children->spawn(jobs->host, &request))
    on_version(jobs, 127, "", 0, "", 0);
}

void sg_jobs_probe(struct sg_jobs *jobs, berth_op op) {
  answer_probe(jobs); /* one at a time: the earlier asker gets what is known */
  jobs->probe = op;
  ask_version(jobs);
}

/* ---------------------------------------------------------------- the queue */

/* Its mirror is in use, or its host has all places but one: a host that hangs must not keep the others out. */
static bool busy(const struct sg_jobs *jobs, const struct sg_job *wants) {
  int64_t of_host = 0, most = jobs->settings->parallel > 1 ? jobs->settings->parallel - 1 : 1;
  for (const struct sg_job *job = jobs->first; job; job = job->next) {
    if (job->running && pu_eq(job->mirror, wants->mirror))
      return true;
    of_host += job->running && pu_eq(job->url.authority, wants->url.authority);
  }
  return of_host >= most;
}

static struct sg_job *next_job(struct sg_jobs *jobs) {
  for (struct sg_job *job = jobs->first; job; job = job->next)
    if (!job->running && !busy(jobs, job))
      return job;
  return NULL;
}

static void pump(struct sg_jobs *jobs) {
  struct sg_job *job;
  if (!jobs->known) {
    if (jobs->first)
      ask_version(jobs);
    return;
  }
  while (jobs->running < jobs->settings->parallel && (job = next_job(jobs))) {
    job->running = true;
    jobs->running++;
    job->deadline = jobs->timer->mono_ms(jobs->host) + jobs->settings->timeout_ms;
    char *why = NULL;
    job->scratch = jobs->base ? sg_scratch_new(jobs->base, jobs->settings, &job->url, job->signers, &why) : NULL;
    if (job->scratch)
      job->start(job);
    else
      sg_job_fail(job, BERTH_IO, "%s", why ? why : "there is no place for git's configuration: neither /run, /dev/shm nor /tmp can be written");
    free(why);
  }
}

static char *mirror_path(const struct sg_settings *settings, const struct sg_url *url) {
  unsigned char hash[crypto_hash_sha256_BYTES];
  char hex[2 * sizeof hash + 1];
  crypto_hash_sha256(hash, (const unsigned char *)url->text, strlen(url->text));
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  hex[40] = '\0';
  return pu_asprintf("%s/%s.git", settings->cache, hex);
}

/* Parses the address and asks the settings; else op is finished. */
static bool may_speak(struct sg_jobs *jobs, berth_op op, const char *repository, struct sg_url *url) {
  const char *bad;
  if (!sg_url_parse(repository, url, &bad)) {
    PU_AUTO_FREE text = pu_asprintf("\"%.200s\" is no address of a repository: %s", repository ? repository : "", bad);
    jobs->ops->finish(jobs->host, op, BERTH_INVALID, text, NULL);
    return false;
  }
  PU_AUTO_FREE refused = sg_settings_refuse(jobs->settings, url);
  if (refused) {
    jobs->ops->finish(jobs->host, op, BERTH_UNSUPPORTED, refused, NULL);
    sg_url_free(url);
  }
  return !refused;
}

void sg_job_begin(struct sg_jobs *jobs, berth_op op, const char *repository, const char *signers, const struct sg_wanted *wanted,
                  void (*start)(struct sg_job *), void *data, void (*free_data)(void *data)) {
  struct sg_url url;
  struct sg_wanted own = wanted ? *wanted : (struct sg_wanted){0};
  if (!may_speak(jobs, op, repository, &url)) {
    wanted_free(&own);
    free_data(data);
    return;
  }
  struct sg_job *job = pu_new(struct sg_job);
  *job = (struct sg_job){.jobs = jobs, .op = op, .url = url, .signers = pu_strdup(signers), .wanted = own, .start = start, .data = data,
                         .free_data = free_data};
  job->mirror = mirror_path(jobs->settings, &job->url);
  struct sg_job **at = &jobs->first;
  while (*at)
    at = &(*at)->next;
  *at = job;
  pump(jobs);
}

void sg_jobs_refuse(struct sg_jobs *jobs, berth_op op, enum berth_code code, const char *why) {
  jobs->ops->finish(jobs->host, op, code, why, NULL);
}

const struct berth_host *sg_jobs_host(const struct sg_jobs *jobs) { return jobs->host; }
int64_t sg_jobs_max_repository(const struct sg_jobs *jobs) { return jobs->settings->max_repository; }

bool sg_jobs_cancel(struct sg_jobs *jobs, berth_op op) {
  if (op && jobs->probe == op) {
    jobs->probe = 0;
    jobs->ops->finish(jobs->host, op, BERTH_CANCELLED, "cancelled", NULL);
    return true;
  }
  for (struct sg_job *job = jobs->first; job; job = job->next) {
    if (job->op != op)
      continue;
    job->cancelled = true;
    if (job->child)
      jobs->children->kill(jobs->host, job->child);
    else if (!job->running)
      sg_job_fail(job, BERTH_CANCELLED, "cancelled");
    return true;
  }
  return false;
}

/* ---------------------------------------------------------------- life */

struct sg_jobs *sg_jobs_new(const struct berth_host *host, const struct sg_settings *settings) {
  struct sg_jobs *jobs = pu_new(struct sg_jobs);
  jobs->host = host;
  jobs->ops = host->service(host, BERTH_HOST_OPS);
  jobs->children = host->service(host, BERTH_HOST_CHILD);
  jobs->timer = host->service(host, BERTH_HOST_TIMER);
  jobs->settings = settings;
  jobs->base = sg_scratch_base(host->name, &jobs->lock);
  return jobs;
}

void sg_jobs_free(struct sg_jobs **pjobs) {
  struct sg_jobs *jobs = *pjobs;
  *pjobs = NULL;
  while (jobs->first)
    job_free(jobs->first);
  sg_scratch_remove(jobs->base);
  if (jobs->lock >= 0)
    close(jobs->lock);
  free(jobs->base);
  free(jobs->version);
  free(jobs->why);
  free(jobs);
}
