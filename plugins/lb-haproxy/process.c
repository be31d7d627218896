#define _GNU_SOURCE /* pidfd_open's number, asprintf */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine.h"

enum { check_ms = 30000, start_ms = 15000, poll_ms = 10, max_said = 256 * 1024, proc_tries = 40, proc_retry_ms = 50, end_tries = 10, end_again_ms = 500 };

/* ---------------------------------------------------------------- listeners */

/* A port that somebody else has would make the whole reload fail: it is tried before. */
char *lbh_listen_error(const char *listen) {
  PU_AUTO_FREE host = pu_strdup(listen);
  char *colon = strrchr(host, ':');
  *colon = 0;
  char *name = host[0] == '[' ? host + 1 : host;
  if (host[0] == '[' && colon > host && colon[-1] == ']')
    colon[-1] = 0;
  struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
  bool any = !*name || strcmp(name, "*") == 0;
  if (any)
    hints.ai_family = AF_INET;
  if (getaddrinfo(any ? NULL : name, colon + 1, &hints, &found) != 0)
    return NULL; /* a name: HAProxy's own business */
  char *why = NULL;
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  if (fd >= 0) {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, found->ai_addr, found->ai_addrlen) < 0 && errno != EACCES)
      why = pu_asprintf("%s cannot be listened on: %s", listen, strerror(errno));
    close(fd);
  }
  freeaddrinfo(found);
  return why;
}

/* What the file in force listens on: of a HAProxy that was found running. */
void lbh_read_listeners(struct berth_instance *self) {
  FILE *f = fopen(self->settings.config_file, "re");
  char *row = NULL, listen[128];
  size_t room = 0;
  lbh_forget_listeners(self);
  while (f && getline(&row, &room, f) >= 0 && self->listening.len < LBH_MAX_LISTENERS)
    if (sscanf(row, " bind %127s", listen) == 1)
      self->listening.items[self->listening.len++] = pu_strdup(listen);
  free(row);
  if (f)
    fclose(f);
}

/* ---------------------------------------------------------------- children */

static char *last_words(const char *out, size_t out_len, const char *err, size_t err_len) {
  return err_len ? pu_strndup(err, err_len) : pu_strndup(out, out_len);
}

static const char *path_env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};

static berth_handle run(struct berth_instance *self, const char *const *argv, int64_t timeout_ms,
                        void (*done)(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len)) {
  struct berth_child_request request = {.size = sizeof request,
                                        .argv = argv,
                                        .env = path_env,
                                        .timeout_ms = timeout_ms,
                                        .max_output = max_said,
                                        .done = done,
                                        .arg = self};
  return self->child->spawn(self->host, &request);
}

static void on_checked(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct berth_instance *self = arg;
  PU_AUTO_FREE said = last_words(out, out_len, err, err_len);
  self->child_run = 0;
  lbh_checked(self, status, said);
}

void lbh_check(struct berth_instance *self) {
  const char *argv[64];
  size_t n = 0;
  PU_AUTO_FREE aside = lbh_aside_path(&self->settings);
  argv[n++] = self->settings.program;
  argv[n++] = "-c";
  for (size_t i = 0; i < self->settings.base_files.len && n < PU_COUNT(argv) - 4; i++) {
    argv[n++] = "-f";
    argv[n++] = self->settings.base_files.items[i];
  }
  argv[n++] = "-f";
  argv[n++] = aside;
  argv[n] = NULL;
  self->phase = LBH_CHECKING;
  self->child_run = run(self, argv, check_ms, on_checked);
  if (!self->child_run) {
    PU_AUTO_FREE why = pu_asprintf("[ALERT] (0) : %s cannot be started: is HAProxy installed?", self->settings.program);
    lbh_checked(self, -1, why);
  }
}

/* ---------------------------------------------------------------- is it there by now? */

static void poll_info(void *arg);

static void poll_again(struct berth_instance *self, const char *why) {
  if (self->timer->mono_ms(self->host) - self->started_ms > start_ms)
    lbh_started(self, false, why);
  else
    self->poll_timer = self->timer->after(self->host, poll_ms, poll_info, self);
}

static void on_info(void *arg, const char *reply, size_t len) {
  struct berth_instance *self = arg;
  (void)len;
  if (self->phase != LBH_STARTING)
    return;
  PU_AUTO_FREE description = reply ? lbh_info(reply, "description") : NULL;
  PU_AUTO_FREE wanted = pu_asprintf("berth-%s", self->text.hash);
  if (!pu_eq(description, wanted)) {
    poll_again(self, description ? "it runs on with its old configuration" : "it does not answer on its socket");
    return;
  }
  PU_AUTO_FREE pid = lbh_info(reply, "Pid");
  self->worker = pid ? atoi(pid) : 0;
  pu_set(&self->product_version, lbh_info(reply, "Version"));
  lbh_started(self, true, NULL);
}

static void poll_info(void *arg) {
  struct berth_instance *self = arg;
  self->poll_timer = 0;
  lbh_cli_ask(self->cli, self->settings.stats_socket, "show info", on_info, self);
}

/* ---------------------------------------------------------------- its master */

static void forget_master(struct berth_instance *self) {
  if (self->pidfd >= 0) {
    self->fds->unwatch(self->host, self->pidfd_watch);
    close(self->pidfd);
  }
  self->pidfd = -1;
  self->pidfd_watch = 0;
  self->master = 0;
}

static void on_pidfd(void *arg, int fd, int events) {
  struct berth_instance *self = arg;
  (void)fd, (void)events;
  forget_master(self);
  lbh_gone(self, "HAProxy ended");
}

static void watch_master(struct berth_instance *self, int pid) {
  if (pid <= 0 || pid == self->master)
    return;
  forget_master(self);
  self->master = pid;
  self->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  self->pidfd_watch = self->pidfd >= 0 ? self->fds->watch(self->host, self->pidfd, BERTH_FD_READ, on_pidfd, self) : 0;
}

static void ask_processes(void *arg);

static void on_proc(void *arg, const char *reply, size_t len) {
  struct berth_instance *self = arg;
  int master, worker;
  (void)len;
  if (!reply && self->proc_tries-- > 0) { /* its socket opens a moment after the worker's */
    self->timer->cancel(self->host, self->proc_timer);
    self->proc_timer = self->timer->after(self->host, proc_retry_ms, ask_processes, self);
  }
  if (!reply)
    return;
  self->nold = lbh_proc_parse(reply, &master, &worker, self->old_workers, PU_COUNT(self->old_workers));
  if (!self->settings.attach)
    watch_master(self, master);
}

static void ask_processes(void *arg) {
  struct berth_instance *self = arg;
  self->proc_timer = 0;
  lbh_cli_ask(self->cli, self->settings.master_socket, "show proc", on_proc, self);
}

/* Who is the master, and which workers still finish what they have. */
void lbh_look_at_processes(struct berth_instance *self) {
  self->proc_tries = proc_tries;
  if (self->settings.master_socket)
    ask_processes(self);
}

static void begin(struct berth_instance *self, bool reloading) {
  self->phase = LBH_STARTING;
  self->reloading = reloading;
  self->started_ms = self->timer->mono_ms(self->host);
}

static void on_spawned(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct berth_instance *self = arg;
  PU_AUTO_FREE said = last_words(out, out_len, err, err_len);
  self->child_run = 0;
  if (self->phase != LBH_STARTING)
    return;
  if (status == 0) {
    poll_info(self);
    return;
  }
  int route;
  PU_AUTO_FREE why = lbh_text_blame(&self->settings, &self->state, &self->text, self->settings.config_file, said, &route);
  lbh_started(self, false, *why ? why : "it ended at once");
}

/* -D: it goes on without us, so that a restart of berthd interrupts nobody. */
void lbh_start(struct berth_instance *self) {
  PU_AUTO_FREE pid_file = pu_asprintf("%s/haproxy.pid", self->settings.dir);
  PU_AUTO_FREE master = pu_asprintf("%s,mode,600", self->settings.master_socket);
  PU_AUTO_FREE peers = pu_asprintf("%s/peers", self->settings.dir);
  const char *argv[] = {self->settings.program, "-W", "-D", "-C", peers, "-p", pid_file, "-S", master, "-f", self->settings.config_file, NULL};
  begin(self, false);
  self->child_run = run(self, argv, start_ms, on_spawned);
  if (!self->child_run)
    lbh_started(self, false, "it cannot be started: is HAProxy installed?");
}

static void on_reload_asked(void *arg, const char *reply, size_t len) {
  struct berth_instance *self = arg;
  (void)reply, (void)len; /* the master closes its socket without an answer */
  if (self->phase == LBH_STARTING && !self->poll_timer)
    poll_info(self);
}

static void on_reload_run(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct berth_instance *self = arg;
  PU_AUTO_FREE said = last_words(out, out_len, err, err_len);
  self->child_run = 0;
  if (self->phase != LBH_STARTING)
    return;
  if (status == 0)
    poll_info(self);
  else
    lbh_started(self, false, *said ? said : "reload_command failed");
}

void lbh_reload(struct berth_instance *self) {
  begin(self, true);
  if (!self->settings.attach || !self->settings.reload_command.len) {
    lbh_cli_ask(self->cli, self->settings.master_socket, "reload", on_reload_asked, self);
    return;
  }
  self->child_run = run(self, (const char *const *)self->settings.reload_command.items, start_ms, on_reload_run);
  if (!self->child_run)
    lbh_started(self, false, "reload_command cannot be started");
}

/* A master that has just reloaded may lose the signal: it is sent again until the process is gone. */
static void end_softly(void *arg) {
  struct berth_instance *self = arg;
  self->end_timer = 0;
  if (self->ending < 0)
    return;
  if (syscall(SYS_pidfd_send_signal, self->ending, SIGUSR1, NULL, 0) == 0 && self->end_tries-- > 0) {
    self->end_timer = self->timer->after(self->host, end_again_ms, end_softly, self);
    return;
  }
  close(self->ending);
  self->ending = -1;
}

void lbh_end_product(struct berth_instance *self) {
  if (self->settings.attach || self->master <= 0)
    return;
  if (self->ending >= 0)
    close(self->ending);
  self->ending = (int)syscall(SYS_pidfd_open, self->master, 0);
  self->end_tries = end_tries;
  forget_master(self);
  if (!self->end_timer)
    end_softly(self);
}

void lbh_process_stop(struct berth_instance *self) {
  if (self->pidfd >= 0)
    close(self->pidfd); /* the host has ended the watch */
  if (self->ending >= 0)
    close(self->ending);
  self->pidfd = self->ending = -1;
}
