/* The command line: one table of verbs with their options, from which come parsing, help, completions and the manual page.
 * Knows nothing of what a verb does. */
#ifndef BT_CLI_ARGS_H
#define BT_CLI_ARGS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/vec.h"

struct bt_cli;

enum bt_option_kind {
  BT_OPT_FLAG,
  BT_OPT_TEXT, /* one value; the last one given counts */
  BT_OPT_LIST  /* one value each time it is given */
};

/* What the shell may offer for a value or an argument. */
enum bt_complete {
  BT_COMPLETE_NONE,
  BT_COMPLETE_FILE,
  BT_COMPLETE_FOLDER,
  BT_COMPLETE_APP,
  BT_COMPLETE_OBJECT, /* services, apps, instances */
  BT_COMPLETE_SECRET,
  BT_COMPLETE_VOLUME,
  BT_COMPLETE_NETWORK,
  BT_COMPLETE_NODE
};

struct bt_option {
  const char *name;    /* without dashes; NULL ends a table */
  char letter;         /* 0: none */
  enum bt_option_kind kind;
  const char *value;   /* what help calls the value: "FILE"; "a|b|c" is checked and completed */
  const char *doc;     /* one line, without a full stop */
  enum bt_complete complete;
};

struct bt_verb {
  const char *name;    /* "up", "secret put" */
  const char *group;   /* heading in help; NULL: not shown there */
  const char *args;    /* "[SERVICE...]"; "" for none */
  const char *summary; /* one line, without a full stop */
  const char *more;    /* paragraphs for the verb's own help; may be NULL */
  const struct bt_option *options;
  int min, max;        /* number of arguments; max -1: any */
  enum bt_complete complete; /* of the arguments */
  bool lists;          /* has --format and --quiet */
  bool raw;            /* what follows the first argument is left as it is (exec) */
  bool local;          /* never asks a server */
  int (*run)(struct bt_cli *cli, struct bt_err **err); /* exit code, or -1 with an error */
};

extern const struct bt_verb bt_verbs[];        /* ends with a NULL name; in the order of help */
extern const struct bt_option bt_options_all[]; /* options that every verb has */
extern const struct bt_option bt_options_list[]; /* --format, --quiet of verbs that list */

struct bt_arg {
  const struct bt_option *option;
  char *value; /* NULL for a flag */
};

/* Zero-initialise. */
struct bt_args {
  const struct bt_verb *verb; /* NULL where none was named */
  const char *group;          /* "secret" of "secret --help", which names no verb yet; borrowed from argv */
  BT_VEC(struct bt_arg) given;
  struct bt_strs rest;        /* the arguments */
};

/* Reads argv[1…]. Unknown verbs and options, missing values and wrong numbers of arguments are BT_INVALID, with the nearest
 * known name. Options may stand before the verb and among its arguments; "--" ends them. With --help or --version the
 * number of arguments is not checked. */
int bt_args_parse(int argc, char **argv, struct bt_args *args, struct bt_err **err) BT_CHECK;
void bt_args_free(struct bt_args *args);

bool bt_args_has(const struct bt_args *args, const char *name);
const char *bt_args_text(const struct bt_args *args, const char *name); /* last value; NULL where not given */
/* A whole number from min to max; or where not given. */
int bt_args_int(const struct bt_args *args, const char *name, long long min, long long max, long long *out,
                struct bt_err **err) BT_CHECK;
/* All values of a list option, copied in order. */
void bt_args_list(const struct bt_args *args, const char *name, struct bt_strs *out);

/* The verb named by the words at *argv (one or two of them); *used says how many. NULL where there is none. */
const struct bt_verb *bt_verb_find(const char *first, const char *second, int *used);
/* Is it a first word that needs a second, and is the verb one of its family? ("secret" and "secret put") */
bool bt_verb_is_group(const char *word);
bool bt_verb_in_group(const struct bt_verb *verb, const char *word);
/* Calls fn for each option of a verb: its own, then those of lists, then those of all. */
void bt_verb_each_option(const struct bt_verb *verb, void (*fn)(void *arg, const struct bt_option *option), void *arg);

#endif
