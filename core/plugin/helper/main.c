/* berth-plugin-host: runs one plug-in entry in a process of its own. berthd starts it; nobody needs to call it by hand.
 *
 *     berth-plugin-host [LIMITS] PLUGIN.so
 *     berth-plugin-host [LIMITS] --exec -- PROGRAM [ARGUMENT…]
 *
 * With --report, descriptor 3 is a socket on which it tells what confines it (report.c).
 *
 * The wire (plugin-api/docs/wire.md) is on standard input and output. The second form runs a program that speaks the wire itself,
 * under the same limits. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "plugin/helper/helper.h"
#include "plugin/helper/session.h"
#include "plugin/loader.h"
#include "plugin/manifest.h"

enum { max_waiting = 256 * 1024 * 1024, workers = 4, report_fd = 3 };

struct options {
  struct helper_limits limits;
  bool exec;
  int report; /* descriptor; -1 none */
  const char *path;
};

static int usage(void) {
  fputs("usage: berth-plugin-host [--user UID:GID] [--memory BYTES] [--files N] [--processes N] [--cpu SECONDS] [--network]\n"
        "                         [--report] PLUGIN.so | --exec -- PROGRAM [ARGUMENT...]\n"
        "(berthd starts it; nobody needs to call it by hand)\n",
        stderr);
  return 2;
}

static bool read_user(const char *text, struct helper_limits *limits) {
  BT_AUTO_FREE char *user = bt_strdup(text);
  char *colon = strchr(user, ':');
  if (!colon)
    return false;
  *colon = '\0';
  return bt_parse_i64(user, 0, UINT32_MAX - 1, &limits->user) && bt_parse_i64(colon + 1, 0, UINT32_MAX - 1, &limits->group);
}

static bool read_options(int argc, char **argv, struct options *o) {
  static const struct option names[] = {
      {"user", required_argument, NULL, 'u'},  {"memory", required_argument, NULL, 'm'}, {"files", required_argument, NULL, 'f'},
      {"processes", required_argument, NULL, 'p'}, {"cpu", required_argument, NULL, 'c'}, {"network", no_argument, NULL, 'n'},
      {"exec", no_argument, NULL, 'x'},        {"report", no_argument, NULL, 'r'},      {0}};
  *o = (struct options){.limits = {.user = -1, .group = -1}, .report = -1};
  struct helper_limits *l = &o->limits;
  bool fine = true;
  for (int c; (c = getopt_long(argc, argv, "+", names, NULL)) != -1;) {
    switch (c) {
    case 'u':
      fine &= read_user(optarg, l);
      break;
    case 'm':
      fine &= bt_parse_i64(optarg, 0, INT64_MAX, &l->memory);
      break;
    case 'f':
      fine &= bt_parse_i64(optarg, 0, 1 << 20, &l->files);
      break;
    case 'p':
      fine &= bt_parse_i64(optarg, 0, 1 << 20, &l->processes);
      break;
    case 'c':
      fine &= bt_parse_i64(optarg, 0, INT64_MAX, &l->cpu);
      break;
    case 'n':
      l->network = true;
      break;
    case 'x':
      o->exec = true;
      break;
    case 'r':
      o->report = report_fd;
      break;
    default:
      fine = false;
    }
  }
  o->path = optind < argc ? argv[optind] : NULL;
  return fine && o->path && (o->exec || optind + 1 == argc);
}

/* Takes the wire off standard input and output, so that nothing that a plug-in prints gets in between. */
static void take_wire(int wire[2]) {
  wire[0] = fcntl(0, F_DUPFD_CLOEXEC, 3);
  wire[1] = fcntl(1, F_DUPFD_CLOEXEC, 3);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (wire[0] < 0 || wire[1] < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0) {
    perror("berth-plugin-host");
    _exit(1);
  }
  close(null);
}

/* As the new user the path may not be reachable, though the file itself is readable: then by the descriptor that was opened before. */
static const char *reachable(const char *path, int fd, char buf[40]) {
  if (access(path, R_OK) == 0)
    return path;
  prctl(PR_SET_DUMPABLE, 1); /* /proc/self belongs to root otherwise */
  snprintf(buf, 40, "/proc/self/fd/%d", fd);
  return buf;
}

static void refuse(const char *why) {
  json_t *head = helper_message("refused", 0);
  bt_json_set_str(head, "message", why);
  helper_send(head, NULL, 0);
}

static int load(const char *path, int fd) {
  BT_AUTO_ERR err = NULL;
  char by_fd[40];
  if (bt_loader_map(path, reachable(path, fd, by_fd), &helper.plugin, &helper.manifest, &err) != 0) {
    refuse(bt_err_message(err));
    return -1;
  }
  json_t *hello = helper_message("hello", 0);
  bt_json_set_int(hello, "wire", BT_WIRE_VERSION);
  bt_json_set_int(hello, "abi", BERTH_ABI);
  bt_json_set_bool(hello, "reload", helper.plugin->reload != NULL);
  bt_json_set_bool(hello, "validate", helper.plugin->validate != NULL);
  bt_json_set(hello, "manifest", bt_manifest_json(&helper.manifest->m));
  helper_send(hello, NULL, 0);
  return 0;
}

static int confine(struct options *o) {
  int status = o->report < 0 ? -1 : open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  int rc = helper_confine(&o->limits);
  helper_report(&o->report, &status);
  return rc;
}

static int run_program(char **argv, struct options *o) {
  if (confine(o) != 0)
    return 1;
  execvp(argv[0], argv);
  fprintf(stderr, "berth-plugin-host: cannot run %s: %s\n", argv[0], strerror(errno));
  return 127;
}

int main(int argc, char **argv) {
  struct options o;
  int wire[2];
  if (!read_options(argc, argv, &o))
    return usage();
  close_range(o.report < 0 ? 3 : report_fd + 1, ~0u, 0);
  if (o.exec)
    return run_program(argv + optind, &o);
  take_wire(wire);
  int fd = open(o.path, O_RDONLY | O_CLOEXEC);
  if (confine(&o) != 0)
    return 1;
  helper_child_init(argv[0]);
  session_open(wire[0], wire[1], max_waiting, workers);
  int rc = load(o.path, fd);
  if (fd >= 0)
    close(fd);
  helper_hide();
  if (rc == 0)
    bt_loop_run(helper.plugins.loop);
  session_close();
  return rc ? 1 : 0;
}
