/* What goes to the person: tables, colours where they make sense, JSON. Knows terminals, not what is shown on them. */
#ifndef BT_CLI_OUT_H
#define BT_CLI_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/vec.h"

enum bt_color { BT_PLAIN, BT_GREEN, BT_YELLOW, BT_RED, BT_CYAN, BT_MAGENTA, BT_BLUE, BT_DIM, BT_BOLD };

/* Colours and cursor moves for fd? Only on a terminal that is not "dumb", and not where NO_COLOR is set. */
bool bt_out_fancy(int fd);
/* Columns of the terminal on fd; 0 where it is none. */
int bt_out_width(int fd);
/* Adds text between colour codes, or the text alone where !fancy or BT_PLAIN. */
void bt_out_color(struct bt_buf *b, bool fancy, enum bt_color color, const char *text);
/* Adds text with control characters made visible, so that what a container says cannot move the cursor or hide. */
void bt_out_clean(struct bt_buf *b, const char *text);
/* The same for text of several lines, which stay lines. */
void bt_out_clean_lines(struct bt_buf *b, const char *text);
/* Columns that text takes on a terminal (UTF-8; invalid bytes count one). */
size_t bt_out_columns(const char *text);
/* The color of a state, health or status word. */
enum bt_color bt_out_state_color(const char *word);
/* Adds text in lines of at most width columns and a newline, broken at blanks: a word that is longer stays whole. The first line
 * goes on at column at; those that follow are indented by indent. */
void bt_out_wrap(struct bt_buf *b, const char *text, size_t at, size_t indent, size_t width);
/* Columns for running text on standard output: the terminal's, from 60 to 100; 80 where it is none. */
size_t bt_out_text_width(void);
/* The exit code where nobody reads the output any more, as a shell has it of a command that SIGPIPE ended. */
enum { BT_EXIT_PIPE = 141 };
/* Writes all of b to fd; what cannot be written (a full disk) is dropped. Where the reader has gone (berth ... | head) nothing that
 * would come has a use: ends the process with BT_EXIT_PIPE and without a word, as SIGPIPE does where it is not ignored. */
void bt_out_write(int fd, const struct bt_buf *b);
/* errno of the first write that failed (a full disk, say), 0 where all went out. */
int bt_out_lost(void);

/* A table whose cells are copied and cleaned. Columns are as wide as their widest cell; trailing blanks are left out. Zero-
 * initialise; ncolumns is fixed by bt_table_head. */
struct bt_table {
  size_t ncolumns;
  struct bt_strs cells;             /* row by row, the head first */
  BT_VEC(unsigned char) colors;     /* enum bt_color per cell */
};

void bt_table_head(struct bt_table *table, size_t n, const char *const *names);
/* The next cell, from left to right and then the next row. NULL shows as "-". */
void bt_table_add(struct bt_table *table, const char *text, enum bt_color color);
void bt_table_addf(struct bt_table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Renders all rows. width > 0 cuts lines at that many columns, in the last column. */
void bt_table_render(const struct bt_table *table, int width, bool fancy, struct bt_buf *out);
/* Renders to standard output as it is. */
void bt_table_print(const struct bt_table *table);
void bt_table_free(struct bt_table *table);
#define BT_AUTO_TABLE __attribute__((cleanup(bt_table_free))) struct bt_table

/* Indented JSON and a newline on standard output. */
void bt_out_json(const json_t *value);
/* "1.4MiB", "312B": at most four digits. */
char *bt_out_bytes(long long bytes, char buf[32]);
/* "3m12s" from since_ms to now; "" for 0. */
char *bt_out_age(long long since_ms, char buf[32]);

#endif
