/* What the monitor and the plug-in are told beside config.json: logs, terminal, network's mode, how to stop, the health check. */
#include "config.h"
#include "parts.h"

#include <signal.h>

static void log_part(struct ro_spec *s) {
  const json_t *logging = pu_obj(s->service, "logging");
  const char *driver = pu_str_or(logging, "driver", "");
  PU_AUTO_JSON options = pu_map(ro_member(logging, "options"));
  int64_t size = s->choices->log_size ? s->choices->log_size : 10 << 20, files = s->choices->log_files ? s->choices->log_files : 3;
  const char *key;
  json_t *v;
  if (*driver && !pu_eq(driver, "json-file") && !pu_eq(driver, "local") && !pu_eq(driver, "none"))
    ro_error(s, BERTH_UNSUPPORTED, "logging.driver: \"%s\" is not offered by runtime-oci; use json-file (a file with rotation), local or none", driver);
  json_object_foreach(options, key, v) {
    const char *text = json_string_value(v);
    if (pu_eq(key, "max-size") && (!pu_size(text, &size) || size < -1))
      ro_error(s, BERTH_INVALID, "logging.options.max-size: \"%s\" is no size; 10m is one", text);
    else if (pu_eq(key, "max-file") && (!pu_size(text, &files) || files < 1 || files > 1000))
      ro_error(s, BERTH_INVALID, "logging.options.max-file: \"%s\" is no number of files from 1 to 1000", text);
    else if (!pu_eq(key, "max-size") && !pu_eq(key, "max-file") && !(pu_eq(key, "mode") && pu_eq(text, "blocking")) && !(pu_eq(key, "compress") && pu_eq(text, "false")))
      ro_error(s, BERTH_UNSUPPORTED, "logging.options.%s: runtime-oci knows max-size and max-file; leave it out", key);
  }
  PU_AUTO_FREE path = pu_asprintf("%s/log", s->in->dir ? s->in->dir : "");
  json_object_set_new(s->monitor, "log", pu_eq(driver, "none") ? json_null()
                                                                : json_pack("{s:s, s:I, s:i}", "path", path, "max_size", (json_int_t)(size < 0 ? 0 : size),
                                                                            "max_files", (int)files));
}

static void network_part(struct ro_spec *s) {
  const char *mode = pu_str(s->in->spec, "network_mode");
  if (pu_starts(mode, "container:")) {
    PU_AUTO_FREE path = pu_asprintf("/proc/%lld/ns/net", (long long)pu_int(ro_other(s, "network_mode", mode), "pid", 0));
    json_object_set_new(s->monitor, "network", json_pack("{s:s, s:s}", "mode", "path", "path", path));
    return;
  }
  bool none = pu_eq(mode, "none") && !json_array_size(pu_arr(s->in->spec, "networks"));
  if (mode && *mode && !none && !s->host_network && !pu_eq(mode, "bridge") && !json_array_size(pu_arr(s->in->spec, "networks")))
    ro_error(s, BERTH_UNSUPPORTED, "network_mode: \"%s\" is not offered; use bridge, none, host or service:NAME", mode);
  json_object_set_new(s->monitor, "network", json_pack("{s:s}", "mode", s->host_network ? "host" : none ? "none" : "new"));
}

/* "kata, runsc". The caller frees. */
static char *names_of(const json_t *o) {
  struct pu_buf out = {0};
  const char *name;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)o, name, v)
    pu_buf_addf(&out, "%s%s", out.len ? ", " : "", name);
  if (!out.len)
    pu_buf_adds(&out, "none");
  return pu_buf_steal(&out);
}

static void runtime_part(struct ro_spec *s) {
  PU_AUTO_FREE name = pu_scalar(ro_member(s->service, "runtime"));
  json_t *argv = name ? pu_arr(s->choices->runtimes, name) : NULL;
  if (!name || !*name)
    return;
  if (argv) {
    json_object_set(s->monitor, "runtime", argv);
    return;
  }
  PU_AUTO_FREE known = names_of(s->choices->runtimes);
  ro_error(s, BERTH_UNSUPPORTED, "runtime: \"%s\" is not among the runtimes of this node's runtime-oci (%s): leave it out, or add it there, as in runtimes: {%s: /usr/bin/%s}", name,
           known, name, name);
}

/* ---------------------------------------------------------------- stop */

/* "SIGUSR1", "usr1", "10", "RTMIN+3" -> "SIGUSR1"; NULL: there is none. The caller frees. */
static char *signal_name(const char *text) {
  static const struct {
    const char *name;
    int number;
  } table[] = {{"HUP", SIGHUP},   {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},   {"TRAP", SIGTRAP},     {"ABRT", SIGABRT}, {"IOT", SIGABRT}, {"BUS", SIGBUS},
               {"FPE", SIGFPE},   {"KILL", SIGKILL},   {"USR1", SIGUSR1}, {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},     {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},
               {"TERM", SIGTERM}, {"CHLD", SIGCHLD},   {"CONT", SIGCONT}, {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
               {"URG", SIGURG},   {"XCPU", SIGXCPU},   {"XFSZ", SIGXFSZ}, {"PROF", SIGPROF}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH}, {"IO", SIGIO},
               {"POLL", SIGIO},   {"PWR", SIGPWR},     {"SYS", SIGSYS}};
  char *end;
  long number = strtol(text, &end, 10), offset;
  const char *bare = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
  bool numeric = end != text && !*end;
  for (size_t i = 0; i < PU_COUNT(table); i++)
    if (numeric ? table[i].number == number : strcasecmp(table[i].name, bare) == 0)
      return pu_asprintf("SIG%s", table[i].name);
  if (numeric && number >= SIGRTMIN && number <= SIGRTMAX)
    return pu_asprintf("%ld", number);
  bool low = strncasecmp(bare, "RTMIN", 5) == 0, high = strncasecmp(bare, "RTMAX", 5) == 0;
  if (!low && !high)
    return NULL;
  offset = strtol(bare + 5, &end, 10);
  number = (low ? SIGRTMIN : SIGRTMAX) + offset;
  return !*end && number >= SIGRTMIN && number <= SIGRTMAX && offset >= -64 && offset <= 64 ? pu_asprintf("%ld", number) : NULL;
}

static void stop_part(struct ro_spec *s) {
  PU_AUTO_FREE own = pu_scalar(ro_member(s->service, "stop_signal"));
  PU_AUTO_FREE image = pu_scalar(ro_member(s->image, "StopSignal"));
  const char *text = own && *own ? own : image && *image ? image : "SIGTERM";
  int64_t ns;
  s->stop_signal = signal_name(text);
  if (!s->stop_signal)
    ro_error(s, BERTH_INVALID, "stop_signal: there is no signal \"%.50s\"; SIGTERM and SIGINT are some", text);
  s->stop_ms = ro_duration(s, s->service, "stop_grace_period", 1000000000, &ns) ? ns / 1000000 : 10000;
}

/* ---------------------------------------------------------------- health */

/* The service's words, the image's own, and ours; Docker's default. */
static const struct {
  const char *compose, *image, *out;
  int64_t usual_ms;
} times[] = {{"interval", "Interval", "interval_ms", 30000},
             {"timeout", "Timeout", "timeout_ms", 30000},
             {"start_period", "StartPeriod", "start_period_ms", 0},
             {"start_interval", "StartInterval", "start_interval_ms", 5000}};

static json_t *health_test(struct ro_spec *s, const json_t *check) {
  const json_t *test = ro_member(check, "test");
  if (json_is_string(test))
    return json_pack("[s,s]", "CMD-SHELL", json_string_value(test));
  json_t *own = pu_strings(test);
  if (json_array_size(own))
    return own;
  json_decref(own);
  return pu_strings(ro_member(pu_obj(s->image, "Healthcheck"), "Test"));
}

static void health_part(struct ro_spec *s) {
  const json_t *check = pu_obj(s->service, "healthcheck"), *image = pu_obj(s->image, "Healthcheck");
  PU_AUTO_JSON test = health_test(s, check);
  const char *kind = json_string_value(json_array_get(test, 0));
  if (pu_flag(check, "disable", false) || !kind || pu_eq(kind, "NONE") || !*kind)
    return;
  if ((!pu_eq(kind, "CMD") && !pu_eq(kind, "CMD-SHELL")) || json_array_size(test) < 2) {
    ro_error(s, BERTH_INVALID, "healthcheck.test: it begins with CMD or CMD-SHELL, then what to run; not \"%.100s\"", kind);
    return;
  }
  json_t *out = json_pack("{s:O}", "test", test);
  for (size_t i = 0; i < PU_COUNT(times); i++) {
    int64_t ns = 0, image_ns = pu_int(image, times[i].image, 0);
    if (!ro_duration(s, check, times[i].compose, 1000000000, &ns) || ns == 0)
      ns = image_ns > 0 ? image_ns : times[i].usual_ms * 1000000;
    json_object_set_new(out, times[i].out, json_integer((json_int_t)(ns / 1000000)));
  }
  int64_t retries = pu_number(check, "retries", 0);
  if (retries <= 0)
    retries = pu_int(image, "Retries", 0);
  json_object_set_new(out, "retries", json_integer((json_int_t)(retries > 0 ? retries : 3)));
  s->health = out;
}

void ro_spec_monitor(struct ro_spec *s) {
  json_object_set_new(s->monitor, "tty", json_boolean(pu_flag(s->service, "tty", false)));
  json_object_set_new(s->monitor, "stdin_open", json_boolean(pu_flag(s->service, "stdin_open", false)));
  log_part(s);
  network_part(s);
  runtime_part(s);
  stop_part(s);
  health_part(s);
}
