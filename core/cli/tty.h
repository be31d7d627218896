/* The terminal in raw mode, given back however the program ends. */
#ifndef BT_CLI_TTY_H
#define BT_CLI_TTY_H

#include <stdbool.h>

/* Raw mode for standard input; false where it is no terminal. The old mode comes back at exit, and at the signals that end a
 * program. */
bool bt_tty_raw(void);
void bt_tty_restore(void); /* harmless where nothing was changed */
/* Rows and columns of the terminal on standard output or input; false where there is none. */
bool bt_tty_size(int *rows, int *cols);

#endif
