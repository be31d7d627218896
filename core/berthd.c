/* berthd: the server. Reads its options and its configuration, makes the process safe, runs the daemon until it is told to stop. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon.h"

enum { max_config = 1024 * 1024 };

static const char usage_text[] =
    "usage: berthd [--config FILE] [--check] [--print-schema] [--print-config]\n"
    "\n"
    "Berth's server: runs Compose apps on this machine. See berthd(8) and berthd.yaml(5).\n"
    "\n"
    "  -c, --config FILE  the configuration (default: " BERTH_CONFDIR "/berthd.yaml; its defaults where that is absent)\n"
    "      --check        check the configuration and the plug-ins it names, then exit\n"
    "      --print-schema print the JSON Schema of the configuration\n"
    "      --print-config print the effective configuration as JSON\n"
    "  -V, --version      print the version\n"
    "  -h, --help         print this help\n"
    "\n"
    "SIGHUP reloads the configuration and the policies; SIGTERM stops (containers run on).\n"
    "Exit codes: 0 ended as told, 2 bad options or configuration, 11 or 13 cannot run (the message says why).\n";

struct options {
  const char *config;
  bool check, schema, print;
};

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, struct options *o) {
  static const struct option longs[] = {{"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 1},
                                        {"print-schema", no_argument, NULL, 2},   {"print-config", no_argument, NULL, 3},
                                        {"version", no_argument, NULL, 'V'},      {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};
  for (int c; (c = getopt_long(argc, argv, "c:Vh", longs, NULL)) != -1;) {
    switch (c) {
    case 'c': o->config = optarg; break;
    case 1: o->check = true; break;
    case 2: o->schema = true; break;
    case 3: o->print = true; break;
    case 'V': puts("berthd " PACKAGE_VERSION); return 0;
    case 'h': fputs(usage_text, stdout); return 0;
    default: fputs("Try berthd --help.\n", stderr); return 2;
    }
  }
  if (optind < argc) {
    fprintf(stderr, "berthd: unexpected argument \"%s\". Try berthd --help.\n", argv[optind]);
    return 2;
  }
  return -1;
}

/* NULL where it is wrong; the errors went to stderr. An absent default file means the defaults. */
static struct bt_config *load_config(const char *path, bool must_exist) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *text = NULL;
  size_t len = 0;
  if (bt_file_read(path, max_config, &text, &len, &err) < 0) {
    if (bt_err_code(err) == BT_NOT_FOUND && !must_exist)
      return bt_config_default();
    fprintf(stderr, "berthd: %s\n", bt_err_message(err));
    return NULL;
  }
  BT_AUTO_DIAGS diags = {0};
  struct bt_config *config = NULL;
  int rc = bt_config_parse(text, len, path, &config, &diags);
  BT_AUTO_FREE char *what = bt_diags_text(&diags);
  fputs(what, stderr);
  if (rc < 0)
    bt_config_free(&config);
  return config;
}

static int check_all(const struct bt_config *config) {
  size_t n;
  BT_AUTO_FREE struct bt_plugin_entry *entries = bt_daemon_entries(config, &n);
  BT_AUTO_DIAGS diags = {0};
  const char *dirs[] = {config->plugin_dir, NULL};
  bt_plugins_check(entries, n, config->plugin_dir ? dirs : NULL, &diags);
  BT_AUTO_FREE char *text = bt_diags_text(&diags);
  fputs(text, stderr);
  if (diags.errors)
    return 2;
  printf("%s is fine: %zu plug-in%s\n", config->file ? config->file : "the default configuration", n, n == 1 ? "" : "s");
  return 0;
}

/* No core files (they would hold secrets), no way for others to read our memory, private files by default. */
static void harden(void) {
  struct rlimit none = {0, 0}, files;
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
  umask(077);
  signal(SIGPIPE, SIG_IGN);
  mallopt(M_ARENA_MAX, 2); /* threads are few and allocate little: an arena each would only cost memory */
  mallopt(M_MMAP_THRESHOLD, 128 * 1024); /* fixed: else one large list lets all later ones grow, and riddle, the heap */
  mallopt(M_TOP_PAD, 16 * 1024);
  mallopt(M_MXFAST, 0); /* small pieces join their free neighbours at once, so that pages come free after a deployment */
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
}

static void on_stop(void *arg) {
  struct bt_daemon *d = arg;
  bt_info("berthd", "stopping; containers run on");
  bt_loop_stop(d->loop);
}

static void log_list(const char *text, const struct bt_strs *names, enum bt_log_level level) {
  for (size_t i = 0; i < names->len; i++)
    bt_log(level, "berthd", "%s: %s", text, names->items[i]);
}

static void on_reload(void *arg) {
  struct bt_daemon *d = arg;
  BT_AUTO_CONFIG now = load_config(d->config_file, false);
  if (!now) {
    bt_error("berthd", "the configuration was not reloaded: %s has errors; the old one stays in force", d->config_file);
    return;
  }
  BT_AUTO_STRS live = {0}, fixed = {0};
  bt_config_diff(d->config, now, &live, &fixed);
  bt_config_adopt(d->config, now);
  bt_log_setup((enum bt_log_level)d->config->log.level, d->config->log.format == BT_LOG_JSON);
  bt_daemon_reload(d);
  log_list("changed", &live, BT_LOG_INFO);
  log_list("needs a restart of berthd and was left as it is", &fixed, BT_LOG_WARN);
  bt_info("berthd", "configuration reloaded");
}

static int run(struct bt_daemon *d) {
  BT_AUTO_ERR err = NULL;
  if (bt_daemon_open(d, &err) < 0) {
    bt_error("berthd", "cannot start: %s", bt_err_message(err));
    int code = bt_code_exit(bt_err_code(err));
    bt_daemon_close(d);
    return code;
  }
  bt_loop_on_signal(d->loop, SIGTERM, on_stop, d);
  bt_loop_on_signal(d->loop, SIGINT, on_stop, d);
  bt_loop_on_signal(d->loop, SIGHUP, on_reload, d);
  bt_info("berthd", "berthd " PACKAGE_VERSION " is up on node %s; API at %s", d->node_name,
          d->config->api.socket.path ? d->config->api.socket.path : d->config->api.tcp.listen);
  bt_loop_run(d->loop);
  bt_daemon_close(d);
  return 0;
}

int main(int argc, char **argv) {
  struct options o = {0};
  int code = parse_options(argc, argv, &o);
  if (code >= 0)
    return code;
  if (o.schema) {
    BT_AUTO_FREE char *schema = bt_config_schema_json();
    puts(schema);
    return 0;
  }
  struct bt_daemon d = {.config_file = o.config ? o.config : BERTH_CONFDIR "/berthd.yaml"};
  d.config = load_config(d.config_file, o.config != NULL);
  if (!d.config)
    return 2;
  if (o.print) {
    json_t *effective = bt_config_json(d.config);
    BT_AUTO_FREE char *text = json_dumps(effective, JSON_INDENT(2));
    bt_json_shorten(text);
    puts(text);
    json_decref(effective);
    code = 0;
  } else if (o.check) {
    code = check_all(d.config);
  } else {
    harden();
    bt_log_setup((enum bt_log_level)d.config->log.level, d.config->log.format == BT_LOG_JSON);
    code = run(&d);
  }
  bt_config_free(&d.config);
  return code;
}
