/* berth-init: the first process of a container with `init: true`. Runs a command as its child, hands it every signal that comes, collects the
 * processes that others leave behind, and ends as the command does. Linked statically, since a container has its own libraries or none; so it uses
 * nothing but the C library's thinnest part. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { not_run = 126, not_there = 127, by_signal = 128 };

static int say(const char *what) {
  dprintf(2, "berth-init: %s: %s\n", what, strerror(errno));
  return errno == ENOENT ? not_there : not_run;
}

/* Of its own group, which has the terminal: what people type there reaches it once, and not by way of us as well. */
static int become(char *const *command, const sigset_t *before) {
  setpgid(0, 0);
  signal(SIGTTOU, SIG_IGN);
  tcsetpgrp(0, getpgrp());
  signal(SIGTTOU, SIG_DFL);
  sigprocmask(SIG_SETMASK, before, NULL);
  execvp(command[0], command);
  return say(command[0]);
}

/* Takes all that have ended. True where the command is one of them. */
static int collect(pid_t command, int *code) {
  int status, ended = 0;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
    if (pid == command) {
      *code = WIFSIGNALED(status) ? by_signal + WTERMSIG(status) : WEXITSTATUS(status);
      ended = 1;
    }
  return ended;
}

static int watch(pid_t command, const sigset_t *all) {
  int code = 0;
  while (!collect(command, &code)) {
    siginfo_t info;
    int sig = sigwaitinfo(all, &info);
    if (sig > 0 && sig != SIGCHLD)
      kill(command, sig);
  }
  return code;
}

int main(int argc, char **argv) {
  char **command = argv + 1;
  if (argc > 1 && strcmp(argv[1], "--") == 0)
    command++;
  if (!*command) {
    dprintf(2, "usage: berth-init [--] COMMAND [ARGUMENT…]\n");
    return 2;
  }
  /* All but those that our own faults raise. */
  static const int faults[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};
  sigset_t all, before;
  sigfillset(&all);
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    sigdelset(&all, faults[i]);
  sigprocmask(SIG_SETMASK, &all, &before);
  prctl(PR_SET_CHILD_SUBREAPER, 1); /* where another container's process is the first one here */
  pid_t pid = fork();
  if (pid == 0)
    return become(command, &before);
  return pid < 0 ? say("cannot make a process") : watch(pid, &all);
}
