#include "config.h"
#include "cli/tty.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static volatile sig_atomic_t changed;

void bt_tty_restore(void) {
  if (!changed)
    return;
  changed = 0;
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
}

static void on_fatal(int signo) {
  bt_tty_restore();
  signal(signo, SIG_DFL);
  raise(signo);
}

bool bt_tty_raw(void) {
  if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
    return false;
  static const int fatal[] = {SIGTERM, SIGHUP, SIGABRT, SIGSEGV, SIGBUS, SIGQUIT};
  for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
    signal(fatal[i], on_fatal);
  atexit(bt_tty_restore);
  struct termios raw = saved;
  cfmakeraw(&raw);
  if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
    return false;
  changed = 1;
  return true;
}

bool bt_tty_size(int *rows, int *cols) {
  struct winsize size;
  if ((ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0) || !size.ws_row)
    return false;
  *rows = size.ws_row;
  *cols = size.ws_col;
  return true;
}
