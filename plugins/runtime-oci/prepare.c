#include "config.h"
#include "prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/util.h"
#include "files.h"
#include "image/store.h"
#include "quota.h"
#include "record.h"
#include "volumes.h"

enum { map_first = 524288, map_users = 65536, max_record = 4 << 20, max_users = 1 << 20 };

struct ro_prepare *ro_prepare_new(const struct ro_config *config, const struct ro_storage *storage, const char *id) {
  struct ro_prepare *p = pu_new(struct ro_prepare);
  p->storage = ro_storage_copy(storage);
  p->root = pu_strdup(config->root);
  p->run_root = pu_strdup(config->run);
  p->dir = pu_asprintf("%s/containers/%s", config->root, id);
  p->run = pu_asprintf("%s/%s", config->run, id);
  p->id = pu_strdup(id);
  p->runtime = pu_strdup(config->runtime);
  p->programs = pu_strdup(config->programs);
  p->runtime_args = json_incref(config->runtime_args);
  p->runtimes = json_incref(config->runtimes);
  p->hooks = json_incref(config->hooks);
  p->dns = json_incref(config->dns);
  p->pools = json_incref(config->pools);
  p->remap = config->userns_remap;
  p->log_max_size = config->log_max_size;
  p->log_max_files = config->log_max_files;
  p->made = json_object();
  return p;
}

void ro_prepare_free(void *data) {
  struct ro_prepare *p = data;
  free(p->root);
  free(p->run_root);
  free(p->dir);
  free(p->run);
  free(p->id);
  ro_storage_free(&p->storage);
  free(p->runtime);
  free(p->programs);
  json_decref(p->runtime_args);
  json_decref(p->runtimes);
  json_decref(p->hooks);
  json_decref(p->dns);
  json_decref(p->pools);
  json_decref(p->spec);
  json_decref(p->peers);
  json_decref(p->volumes);
  free(p->image);
  free(p->name);
  json_decref(p->labels);
  free(p->why);
  json_decref(p->image_json);
  ro_spec_free(&p->out);
  ro_net_plan_free(&p->net);
  json_decref(p->made);
  free(p);
}

static bool fail(struct ro_prepare *p, enum berth_code code, char *why) {
  p->code = code;
  pu_set(&p->why, why);
  return false;
}

/* ---------------------------------------------------------------- what the machine is */

static struct ro_facts machine; /* read once a process, kept for ever: the same for all entries */

static void read_machine(void) { ro_facts_read(&machine); }

static const struct ro_facts *facts(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, read_machine);
  return &machine;
}

/* Files of /etc and /proc tell no size: read as a stream, at most most bytes. NULL: not there. */
static char *slurp(int fd, size_t most) {
  PU_AUTO_BUF text = {0};
  char piece[8192];
  ssize_t n;
  if (fd < 0)
    return NULL;
  while (text.len < most && (n = read(fd, piece, sizeof piece)) > 0)
    pu_buf_add(&text, piece, (size_t)n);
  close(fd);
  return pu_buf_steal(&text);
}

/* ---------------------------------------------------------------- image */

/* A small file of the image as its topmost layer has it. Links in it lead nowhere but into that layer. */
static char *image_file(const json_t *layers, const char *path) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  size_t i;
  json_t *layer;
  json_array_foreach(layers, i, layer) {
    int at = open(json_string_value(layer), O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = at < 0 ? -1 : (int)syscall(SYS_openat2, at, path, &how, sizeof how);
    struct stat st;
    if (at >= 0)
      close(at);
    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
      close(fd); /* a whiteout, or no file: the layers below do not count any more */
      return NULL;
    }
    if (fd >= 0)
      return slurp(fd, max_users);
  }
  return NULL;
}

static bool find_image(struct ro_prepare *p) {
  RI_AUTO_WHY why = {0};
  p->image_json = ri_store_inspect(p->root, p->image, p->trying ? pu_str(pu_obj(p->spec, "service"), "platform") : NULL, &why);
  if (p->image_json)
    ri_store_touch(p->root, pu_str_or(p->image_json, "id", "")); /* what a prune that began before this must not take */
  return p->image_json || fail(p, why.code, pu_strdup(why.text));
}

/* ---------------------------------------------------------------- translation */

json_t *ro_prepare_peers(const json_t *spec) {
  static const char *const modes[] = {"network_mode", "pid", "ipc"};
  PU_AUTO_JSON seen = json_object();
  json_t *out = json_array(), *v;
  for (size_t i = 0; i < PU_COUNT(modes); i++) {
    const char *mode = pu_str(spec, modes[i]);
    if (pu_starts(mode, "container:"))
      json_object_set_new(seen, mode + strlen("container:"), json_true());
  }
  size_t i;
  json_array_foreach(pu_arr(spec, "volumes_from"), i, v) {
    const char *from = json_string_value(v);
    if (!from)
      continue;
    from += pu_starts(from, "container:") ? strlen("container:") : 0;
    PU_AUTO_FREE name = pu_strndup(from, strcspn(from, ":"));
    json_object_set_new(seen, name, json_true());
  }
  const char *name;
  json_object_foreach(seen, name, v)
    json_array_append_new(out, json_string(name));
  return out;
}

/* Adds to each peer what stands in its record. */
static void read_peers(struct ro_prepare *p) {
  const char *name;
  json_t *peer;
  json_object_foreach(p->peers, name, peer) {
    PU_AUTO_FREE path = pu_asprintf("%s/container.json", pu_str_or(peer, "dir", ""));
    PU_AUTO_JSON record = ro_file_json(path, max_record, NULL);
    json_t *spec = pu_obj(record, "spec");
    json_object_set(peer, "spec", spec ? spec : json_object());
    const char *hostname = pu_str(record, "hostname");
    if (hostname)
      json_object_set_new(peer, "hostname", json_string(hostname));
  }
}

/* "NAME:FIRST:COUNT": the line of user berth, of at least 65536. */
static uint32_t first_of(const char *path) {
  FILE *f = fopen(path, "re");
  char line[256];
  unsigned first = 0, count = 0, found = 0;
  while (f && !found && fgets(line, sizeof line, f))
    if (sscanf(line, "berth:%10u:%10u", &first, &count) == 2 && count >= map_users)
      found = first;
  if (f)
    fclose(f);
  return found ? found : map_first;
}

static bool translate(struct ro_prepare *p) {
  const json_t *layers = pu_arr(p->image_json, "layers");
  PU_AUTO_FREE passwd = image_file(layers, "etc/passwd");
  PU_AUTO_FREE group = image_file(layers, "etc/group");
  PU_AUTO_FREE hosts = slurp(open("/etc/hosts", O_RDONLY | O_CLOEXEC), 1 << 20);
  PU_AUTO_FREE resolv = slurp(open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC), 1 << 16);
  PU_AUTO_JSON needs = ro_spec_needs(p->spec);
  PU_AUTO_JSON found = ro_needs_read(needs);
  PU_AUTO_FREE volumes = pu_asprintf("%s/volumes", p->root);
  PU_AUTO_FREE rootfs = pu_asprintf("%s/rootfs", p->run);
  struct ro_choices choices = {.log_size = p->log_max_size, .log_files = p->log_max_files, .runtimes = p->runtimes, .volumes = volumes};
  if (p->remap) {
    choices.map_uid = first_of("/etc/subuid");
    choices.map_gid = first_of("/etc/subgid");
    choices.map_count = map_users;
  }
  struct ro_facts here = *facts();
  PU_AUTO_FREE init = ro_program_init(p->programs, here.init ? pu_strdup(here.init) : NULL);
  here.init = init;
  read_peers(p);
  struct ro_request in = {.facts = &here, .choices = &choices, .id = p->id, .spec = p->spec, .image = pu_obj(p->image_json, "config"), .passwd = passwd,
                          .group = group, .found = found, .containers = p->peers, .trying = p->trying, .dir = p->dir, .bundle = p->run,
                          .rootfs = rootfs, .addresses = p->net.addresses, .gateways = p->net.gateways, .resolvers = p->net.resolvers,
                          .host_hosts = hosts, .host_resolv = resolv};
  if (!p->net.resolvers && json_array_size(p->dns))
    in.resolvers = p->dns;
  if (ro_spec_translate(&in, &p->out))
    return true;
  return fail(p, p->out.code, pu_strdup(p->out.why));
}

/* ---------------------------------------------------------------- volumes */

static bool make_volumes(struct ro_prepare *p) {
  size_t i;
  json_t *v;
  json_array_foreach(p->out.volumes, i, v) {
    const char *name = pu_str_or(v, "name", "");
    if (json_object_get(p->volumes, name))
      continue;
    if (!ro_volume_name(name))
      return fail(p, BERTH_INVALID, pu_asprintf("volume \"%s\": that is no name of a volume", name));
    json_t *record = json_pack("{s:s, s:{}, s:{}, s:I}", "driver", "local", "driver_opts", "labels", "created_ms", (json_int_t)p->now_ms);
    if (pu_bool(v, "anonymous", false)) /* a crash before the container is on record, or after, leaves a volume that nobody knows: recover.c */
      json_object_set_new(record, "container", json_string(p->id));
    char *why = NULL;
    json_object_set_new(p->made, name, record);
    if (!ro_volume_make(p->root, name, record, &why))
      return fail(p, BERTH_IO, why);
  }
  return true;
}

/* Sources of binds that are to be made where they are absent. */
static bool make_sources(struct ro_prepare *p) {
  size_t i;
  json_t *v;
  json_array_foreach(pu_arr(p->out.monitor, "make"), i, v) {
    const char *path = json_string_value(v);
    char *why = NULL;
    if (path && access(path, F_OK) != 0 && !ro_dir_make(path, 0755, &why))
      return fail(p, BERTH_IO, why);
  }
  return true;
}

static bool mount_volumes(struct ro_prepare *p) {
  size_t i;
  json_t *v;
  json_array_foreach(p->out.volumes, i, v) {
    const char *name = pu_str_or(v, "name", "");
    char *why = NULL;
    if (!ro_volume_mount(p->root, name, pu_obj(json_object_get(p->volumes, name), "driver_opts"), &why))
      return fail(p, BERTH_IO, why);
  }
  return true;
}

static struct ro_net_who who_of(const struct ro_prepare *p) {
  return (struct ro_net_who){.root = p->root, .id = p->id, .pools = p->pools, .name = p->name, .labels = p->labels ? p->labels : pu_obj(p->spec, "labels"),
                             .spec = p->spec};
}

static bool reserve(struct ro_prepare *p) {
  struct ro_net_who who = who_of(p);
  char *why = NULL;
  enum berth_code code = ro_net_reserve(&who, &why);
  return code == BERTH_OK || fail(p, code, why);
}

static bool can_limit(struct ro_prepare *p) {
  if (p->out.disk > 0 && p->storage.kind == RO_STORAGE_COPY)
    return fail(p, BERTH_UNSUPPORTED, pu_strdup("storage_opt.size: root file systems are copies here, which have no writable layer that could be limited: set storage to auto"));
  if (p->out.disk > 0 && p->storage.unlimited)
    return fail(p, BERTH_UNSUPPORTED, pu_asprintf("storage_opt.size: %s", p->storage.unlimited));
  return true;
}

/* What no image could mend is told before that there is none. */
bool ro_prepare_look(struct ro_prepare *p) {
  if (find_image(p))
    return translate(p) && can_limit(p) && reserve(p) && make_volumes(p);
  enum berth_code code = p->code;
  char *why = p->why;
  p->why = NULL;
  if ((translate(p) && can_limit(p)) || p->code != BERTH_UNSUPPORTED)
    return fail(p, code, why);
  free(why);
  return false;
}

/* ---------------------------------------------------------------- bundle */

static bool write_text(struct ro_prepare *p, const char *name, const char *text) {
  PU_AUTO_FREE path = pu_asprintf("%s/%s", p->dir, name);
  char *why = NULL;
  return !text || ro_file_write(path, text, strlen(text), 0644, false, &why) || fail(p, BERTH_IO, why);
}

static bool make_folder(struct ro_prepare *p, const char *above, const char *name, mode_t mode) {
  PU_AUTO_FREE path = pu_asprintf("%s/%s", above, name);
  char *why = NULL;
  return ro_dir_make(path, mode, &why) || fail(p, BERTH_IO, why);
}

/* The runtime as a list of words: a service's own choice goes before the entry's. */
static json_t *runtime_words(const struct ro_prepare *p) {
  json_t *own = pu_arr(p->out.monitor, "runtime");
  if (own)
    return json_incref(own);
  PU_AUTO_FREE path = ro_program_path(p->runtime);
  json_t *words = json_pack("[s]", path);
  json_array_extend(words, p->runtime_args);
  return words;
}

static json_t *monitor_json(const struct ro_prepare *p, json_t *rootfs) {
  json_t *m = json_deep_copy(p->out.monitor);
  json_object_set_new(m, "id", json_string(p->id));
  json_object_set_new(m, "bundle", json_string(p->run));
  json_object_set_new(m, "runtime", runtime_words(p));
  json_object_set_new(m, "runtime_root", json_sprintf("%s/runtime", p->run_root));
  json_object_set(m, "rootfs", rootfs);
  const json_t *uids = json_array_get(json_object_get(p->out.linux_part, "uidMappings"), 0), *gids = json_array_get(json_object_get(p->out.linux_part, "gidMappings"), 0);
  if (uids)
    json_object_set_new(rootfs, "idmap", json_pack("{s:I, s:I, s:I}", "uid", (json_int_t)pu_int(uids, "hostID", 0), "gid", (json_int_t)pu_int(gids, "hostID", 0),
                                                               "count", (json_int_t)pu_int(uids, "size", 0)));
  json_object_set_new(m, "exit", json_sprintf("%s/exit.json", p->run));
  json_t *log = pu_obj(m, "log");
  if (log)
    json_object_set_new(log, "path", json_sprintf("%s/log", p->dir));
  json_t *network = pu_obj(m, "network");
  if (network && p->net.interfaces)
    json_object_set(network, "interfaces", p->net.interfaces);
  return m;
}

static bool write_bundle(struct ro_prepare *p) {
  PU_AUTO_FREE config = pu_asprintf("%s/config.json", p->run);
  PU_AUTO_FREE monitor = pu_asprintf("%s/monitor.json", p->run);
  PU_AUTO_JSON m = NULL;
  char *why = NULL;
  if (!ro_tree_remove(p->run, &why) || !ro_dir_make(p->run, 0711, &why))
    return fail(p, BERTH_IO, why);
  if (!make_folder(p, p->run, "rootfs", 0755) || !write_text(p, "hosts", p->out.hosts) || !write_text(p, "hostname", p->out.hostname) || !write_text(p, "resolv.conf", p->out.resolv))
    return false;
  PU_AUTO_FREE target = pu_asprintf("%s/rootfs", p->run);
  PU_AUTO_JSON rootfs = ro_storage_rootfs(&p->storage, p->dir, pu_arr(p->image_json, "layers"), target, &why);
  if (!rootfs || !ro_quota_set(pu_str(rootfs, "upper"), pu_str(rootfs, "work"), p->id, p->out.disk, &why))
    return fail(p, BERTH_UNAVAILABLE, why);
  m = monitor_json(p, rootfs);
  if (p->hooks)
    json_object_set(p->out.config, "hooks", p->hooks);
  /* For whoever comes back to a container that runs: nothing else knows which port was chosen for it. */
  PU_AUTO_FREE seen = pu_asprintf("%s/net.json", p->run);
  PU_AUTO_JSON net = json_pack("{s:O*, s:O*}", "networks", p->net.networks, "ports", p->net.ports);
  if (!ro_file_write_json(seen, net, 0600, false, &why))
    return fail(p, BERTH_IO, why);
  return (ro_file_write_json(config, p->out.config, 0600, false, &why) && ro_file_write_json(monitor, m, 0600, false, &why)) ||
         fail(p, BERTH_IO, why);
}

static bool read_spec(struct ro_prepare *p) {
  PU_AUTO_FREE path = pu_asprintf("%s/container.json", p->dir);
  char *why = NULL;
  PU_AUTO_JSON record = ro_file_json(path, max_record, &why);
  p->spec = json_incref(pu_obj(record, "spec"));
  if (p->spec)
    return true;
  return fail(p, BERTH_IO, why ? why : pu_asprintf("%s: it has no spec", path));
}

bool ro_prepare_bundle(struct ro_prepare *p) {
  if (!read_spec(p) || !find_image(p))
    return false;
  char *why = NULL;
  struct ro_net_who who = who_of(p);
  enum berth_code code = ro_net_up(&who, &p->net, &why);
  if (code != BERTH_OK)
    return fail(p, code, why);
  if (translate(p) && make_sources(p) && make_volumes(p) && mount_volumes(p) && write_bundle(p))
    return true;
  ro_prepare_undo(p);
  return false;
}

void ro_prepare_undo(struct ro_prepare *p) {
  ro_net_down(p->root, p->id);
  ro_tree_remove(p->run, NULL);
}
