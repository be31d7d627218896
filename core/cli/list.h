/* Lists as tables: which key of an item each column shows, and how. */
#ifndef BT_CLI_LIST_H
#define BT_CLI_LIST_H

#include "cli/cli.h"

enum bt_cell {
  BT_CELL_TEXT,
  BT_CELL_STATE,  /* coloured word */
  BT_CELL_AGE,    /* since a time in milliseconds or RFC 3339 */
  BT_CELL_BYTES,
  BT_CELL_DIGEST, /* its first twelve digits */
  BT_CELL_PORTS,
  BT_CELL_UP,     /* an age, of what runs only */
  BT_CELL_NOTE,   /* the instance's error, else why it waits or leaves, else its message */
  BT_CELL_JOINED, /* array of strings */
  BT_CELL_ROOM    /* what is counted on a node beside cpu and memory, as far as something of it is declared or used */
};

enum { BT_MAX_COLUMNS = 16 };

/* A table of columns ends with a NULL head. key may be "a.b". */
struct bt_column {
  const char *head, *key;
  enum bt_cell kind;
};

/* Prints items as --format and --quiet have it; id is the key that --quiet prints. Returns exit code 0. */
int bt_list_print(const struct bt_cli *cli, const struct bt_column *columns, const char *id, const json_t *items);
/* The checks of "berth doctor" in lines of at most width columns: a row each, its cells broken where they are long, and the mend of
 * what is not ok on a line of its own. */
void bt_doctor_render(const json_t *checks, size_t width, bool fancy, struct bt_buf *out);
/* A time member in milliseconds, be it a number or RFC 3339; 0 where absent. */
long long bt_json_time(const json_t *object, const char *key);

#endif
