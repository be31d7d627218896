/* info: the machine, and the OCI runtime that is to run containers. */
#include "config.h"
#include "doctor.h"
#include "engine.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

struct info {
  struct ro_op op;
  struct facts *facts;
};

/* What a worker reads. */
struct facts {
  char *root, *programs;
  struct utsname uts;
  struct sysinfo mem;
  uint64_t disk;
  bool unified;
  int64_t pids;
  bool remap;
  struct ro_look look;
};

static void facts_free(void *data) {
  struct facts *f = data;
  ro_look_free(&f->look);
  free(f->root);
  free(f->programs);
  free(f);
}

/* Files of /proc tell no size, so they are read as a stream. */
static int64_t proc_number(const char *path) {
  FILE *f = fopen(path, "re");
  long long n = 0;
  if (f && fscanf(f, "%20lld", &n) != 1)
    n = 0;
  if (f)
    fclose(f);
  return n;
}

static void facts_work(void *data) {
  struct facts *f = data;
  struct statvfs vfs;
  uname(&f->uts);
  sysinfo(&f->mem);
  if (statvfs(f->root, &vfs) == 0)
    f->disk = (uint64_t)vfs.f_frsize * vfs.f_blocks;
  f->unified = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
  f->pids = proc_number("/proc/sys/kernel/pid_max");
  struct ro_storage storage = f->look.storage;
  f->look.storage = (struct ro_storage){0};
  ro_doctor_look(&f->look, f->remap, f->programs, storage);
}

static const char *arch_word(const char *machine) {
  static const char *const words[][2] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "arm"}, {"i686", "386"}};
  for (size_t i = 0; i < PU_COUNT(words); i++)
    if (pu_eq(machine, words[i][0]))
      return words[i][1];
  return machine;
}

static json_t *describe(const struct facts *f) {
  const char *arch = arch_word(f->uts.machine);
  PU_AUTO_FREE platform = pu_asprintf("linux/%s", arch);
  return json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:s, s:s, s:b, s:b, s:I, s:I, s:[s, s, s, s, s]}", "name", "oci", "os", "linux", "arch", arch,
                   "platform", platform, "kernel", f->uts.release, "cpus", (double)sysconf(_SC_NPROCESSORS_ONLN), "memory",
                   (json_int_t)(f->mem.totalram * (uint64_t)f->mem.mem_unit), "cgroup", f->unified ? "2" : "1", "root_dir", f->root,
                   "rootless", 0, "local", 1, "disk", (json_int_t)f->disk, "pids", (json_int_t)f->pids, "features", "healthcheck.start_interval",
                   "annotations", "volume.subpath", "update", "ready");
}

/* "crun version 1.8.1\ncommit: …\nspec: 1.0.0" and "runc version 1.1.5+ds1\n…spec: 1.0.2-dev" alike: the word behind a key. */
static char *word_after(const char *text, const char *key) {
  const char *at = strstr(text, key);
  if (!at)
    return pu_strdup("");
  at += strlen(key);
  at += strspn(at, " ");
  return pu_strndup(at, strcspn(at, " \n+"));
}

static void version_ran(struct ro_op *op, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct info *i = (struct info *)op;
  PU_AUTO_FREE text = pu_strndup(out, out_len);
  (void)err, (void)err_len;
  if (status != 0) {
    ro_op_fail(op, BERTH_UNAVAILABLE, "the OCI runtime %s does not run: install it (apt install crun), or set runtime", op->self->config.runtime);
    return;
  }
  json_t *info = describe(i->facts);
  PU_AUTO_FREE version = word_after(text, " version ");
  PU_AUTO_FREE spec = word_after(text, "spec:");
  json_object_set_new(info, "version", pu_json_string(version));
  json_object_set_new(info, "api_version", pu_json_string(*spec ? spec : "1.0.0"));
  json_object_set_new(info, "checks", ro_doctor_judge(&i->facts->look, text));
  ro_op_done(op, info);
}

static void facts_done(struct ro_op *op, void *data) {
  struct info *i = (struct info *)op;
  i->facts = pu_new(struct facts);
  *i->facts = *(struct facts *)data;
  i->facts->root = pu_strdup(i->facts->root);
  i->facts->programs = NULL;
  ((struct facts *)data)->look = (struct ro_look){0}; /* taken over */
  const char *argv[] = {op->self->config.runtime, "--version", NULL};
  ro_child_run(op, argv, NULL, 0, 10000, version_ran);
}

static void info_ready(struct ro_op *op) {
  struct facts *f = pu_new(struct facts);
  f->root = pu_strdup(op->self->config.root);
  f->programs = pu_strdup(op->self->config.programs);
  f->remap = op->self->config.userns_remap;
  f->look.storage = ro_storage_copy(&op->self->storage);
  ro_job_run(op, f, facts_work, facts_done, facts_free);
}

static void info_drop(struct ro_op *op) {
  struct info *i = (struct info *)op;
  if (i->facts)
    facts_free(i->facts);
}

void ro_info(struct berth_instance *self, berth_op id) {
  struct info *i = ro_op_new(self, id, sizeof *i, info_drop, "runtime");
  ro_op_ready(&i->op, info_ready);
}
