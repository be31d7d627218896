/* berth-copy: see copy.h. A program of its own, since libarchive is larger than a monitor that lives for months should be. */
#include "config.h"
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"
#include "inside.h"
#include "resolve.h"
#include "root.h"
#include "sweep.h"

enum { max_config = 16 << 20, nobody = 65534 };

/* ---- numbers of users ---- */

static uint32_t map(const uint32_t *from, const uint32_t *to, const struct ro_ranges *r, uint32_t id) {
  for (int i = 0; i < r->n; i++)
    if (id >= from[i] && id - from[i] < r->count[i])
      return to[i] + (id - from[i]);
  return r->n ? nobody : id;
}

uint32_t ro_copy_out_id(const struct ro_ranges *r, uint32_t inside) { return map(r->inside, r->outside, r, inside); }
uint32_t ro_copy_in_id(const struct ro_ranges *r, uint32_t outside) { return map(r->outside, r->inside, r, outside); }

static void read_ranges(const json_t *list, struct ro_ranges *r) {
  size_t i;
  const json_t *v;
  json_array_foreach(list, i, v) {
    if (r->n == RO_COPY_RANGES)
      return;
    r->inside[r->n] = (uint32_t)pu_int(v, "containerID", 0);
    r->outside[r->n] = (uint32_t)pu_int(v, "hostID", 0);
    r->count[r->n++] = (uint32_t)pu_int(v, "size", 0);
  }
}

static void read_maps(struct ro_copy *c, const struct ro_monspec *s) {
  PU_AUTO_FREE path = pu_asprintf("%s/config.json", s->bundle);
  size_t len;
  PU_AUTO_FREE text = ro_read_file(AT_FDCWD, path, max_config, &len);
  PU_AUTO_JSON config = text ? pu_json_parse(text, len) : NULL;
  read_ranges(pu_arr(pu_obj(config, "linux"), "uidMappings"), &c->uids);
  read_ranges(pu_arr(pu_obj(config, "linux"), "gidMappings"), &c->gids);
}

/* ---- the container's files ---- */

static int bind_one(int root, const json_t *v, const char *id, struct ro_fail *why) {
  const char *source = pu_str(v, "source"), *target = pu_str(v, "target");
  struct stat st;
  if (!source || !target || stat(source, &st) < 0)
    return ro_fail(why, "not_found", "a mount of container %s has no source: %s", id, source ? source : "?");
  int to = S_ISDIR(st.st_mode) ? ro_folder_inside(root, target, 1) : ro_open_inside(root, target, O_PATH, 0);
  if (to < 0)
    return S_ISDIR(st.st_mode) ? ro_fail_errno(why, "cannot open %s of container %s", target, id) : 0; /* a file that a start would make */
  char place[64];
  snprintf(place, sizeof place, "/proc/self/fd/%d", to);
  int rc = mount(source, place, NULL, MS_BIND | MS_REC, NULL);
  if (rc == 0 && pu_bool(v, "read_only", false))
    rc = mount(NULL, place, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
  if (rc < 0)
    ro_fail_errno(why, "cannot mount %s of container %s", target, id);
  close(to);
  return rc;
}

static int open_standing(const struct ro_monspec *s, pid_t *server, struct ro_fail *why) {
  if (!s->target)
    return ro_fail(why, "invalid", "container %s has no root file system of its own", s->id);
  if (ro_root_private(s, 0, why) < 0 || ro_root_mount(s, server, why) < 0)
    return -1;
  int root = open(s->target, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0)
    return ro_fail_errno(why, "cannot open the root file system of container %s", s->id);
  size_t i;
  const json_t *v;
  json_array_foreach(pu_arr(s->json, "mounts"), i, v)
    if (bind_one(root, v, s->id, why) < 0)
      return -1;
  return root;
}

/* What reads hostile archives keeps only what files need. */
static void drop_powers(void) {
  static const int kept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_SETFCAP, CAP_MKNOD};
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {{0}, {0}};
  for (size_t i = 0; i < PU_COUNT(kept); i++)
    data[kept[i] / 32].effective |= 1u << kept[i] % 32;
  data[0].permitted = data[0].effective;
  data[1].permitted = data[1].effective;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  syscall(SYS_capset, &head, data);
}

/* Opens the container's files: of its first process where it runs, else its root file system (and the mounts of spec "mounts":
 * [{"source","target","read_only"}], for its volumes) in a mount namespace of our own. from: run folder or monitor.json. */
static int open_files(struct ro_copy *c, const char *from, struct ro_fail *why) {
  struct ro_monspec s;
  struct ro_monitor m;
  *c = (struct ro_copy){.root = -1};
  PU_AUTO_FREE swept = pu_asprintf("%s/" RO_SWEPT, from); /* where a monitor was killed, nobody has written it anew yet */
  if (ro_monspec_read(access(swept, F_OK) == 0 ? swept : from, &s, why) < 0)
    return -1;
  read_maps(c, &s);
  if (ro_inside_find(from, &s, &m, NULL) == 0)
    c->root = ro_inside_root(&s, &m, NULL);
  if (c->root < 0) /* it does not run, or has just ended */
    c->root = open_standing(&s, &c->server, why);
  ro_monspec_free(&s);
  if (c->root >= 0)
    drop_powers();
  return c->root < 0 ? -1 : 0;
}

/* ---- the program ---- */

static int usage(void) {
  fputs("usage: berth-copy in RUN-FOLDER|MONITOR.JSON PATH <tar\n       berth-copy out RUN-FOLDER|MONITOR.JSON PATH >tar\n"
        "Started by the plug-in runtime-oci. What fails is said on standard error, as {\"error\", \"code\"}.\n",
        stderr);
  return 2;
}

/* Who serves the files dies with us. */
static int write_out(int root, struct ro_fail *why) {
  int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int rc = fd < 0 || syncfs(fd) < 0 ? ro_fail_errno(why, "cannot write out the container's files") : 0;
  if (fd >= 0)
    close(fd);
  return rc;
}

int main(int argc, char **argv) {
  if (argc != 4 || (strcmp(argv[1], "in") != 0 && strcmp(argv[1], "out") != 0))
    return usage();
  umask(0);
  struct ro_fail why = {0};
  struct ro_copy c;
  int rc = open_files(&c, argv[2], &why);
  if (rc == 0)
    rc = argv[1][0] == 'i' ? ro_copy_in(&c, argv[3], &why) : ro_copy_out(&c, argv[3], &why);
  if (rc == 0 && c.server > 0)
    rc = write_out(c.root, &why);
  if (rc < 0) {
    PU_AUTO_JSON v = json_pack("{s:o, s:s}", "error", pu_json_string(why.text), "code", why.code);
    PU_AUTO_FREE text = pu_json_text(v);
    fprintf(stderr, "%s\n", text);
  }
  ro_fail_clear(&why);
  if (c.root >= 0)
    close(c.root);
  return rc < 0 ? 1 : 0;
}
