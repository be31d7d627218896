/* Help, from the table of verbs; also as mdoc for berth(1). */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/completion.h"

enum { left_columns = 34 };

struct help {
  struct bt_buf *out;
  size_t width;
};

/* A word on the left, what it is on the right; where the left is too wide, the right begins on the next line. */
static void add_row(const struct help *help, const char *left, const char *right) {
  size_t at = strlen(left);
  bt_buf_adds(help->out, left);
  if (at > left_columns) {
    bt_buf_addc(help->out, '\n');
    at = 0;
  }
  bt_buf_addf(help->out, "%*s", (int)(left_columns + 1 - at), "");
  bt_out_wrap(help->out, right, left_columns + 1, left_columns + 1, help->width);
}

static void add_option(void *arg, const struct bt_option *option) {
  BT_AUTO_BUF left = {0};
  if (option->letter)
    bt_buf_addf(&left, "  -%c, --%s", option->letter, option->name);
  else
    bt_buf_addf(&left, "      --%s", option->name);
  if (option->value)
    bt_buf_addf(&left, " %s", option->value);
  add_row(arg, left.data, option->doc);
}

static void add_verb(struct help *help, const struct bt_verb *verb) {
  struct bt_buf *b = help->out;
  bt_buf_addf(b, "berth %s [OPTION...]%s%s\n\n", verb->name, *verb->args ? " " : "", verb->args);
  bt_buf_addf(b, "%s.\n", verb->summary);
  if (verb->more) {
    bt_buf_addc(b, '\n');
    bt_out_wrap(b, verb->more, 0, 0, help->width);
  }
  bt_buf_adds(b, "\nOptions:\n");
  bt_verb_each_option(verb, add_option, help);
}

static void add_all(struct help *help) {
  const char *group = "";
  struct bt_buf *b = help->out;
  bt_buf_adds(b, "berth VERB [OPTION...] [ARGUMENT...]\n\nRuns containers from Compose files.\n");
  for (const struct bt_verb *v = bt_verbs; v->name; v++) {
    if (!v->group)
      continue;
    if (strcmp(group, v->group) != 0)
      bt_buf_addf(b, "\n%s:\n", v->group);
    group = v->group;
    BT_AUTO_FREE char *left = bt_asprintf("  %s %s", v->name, v->args);
    add_row(help, left, v->summary);
  }
  bt_buf_adds(b, "\nOptions of every verb:\n");
  bt_verb_each_option(NULL, add_option, help);
  bt_buf_adds(b, "\n\"berth VERB --help\" tells more, and so does \"man berth\".\n");
}

void bt_help_text(const struct bt_verb *verb, size_t width, struct bt_buf *out) {
  struct help help = {.out = out, .width = width};
  if (verb)
    add_verb(&help, verb);
  else
    add_all(&help);
}

void bt_help_group(const char *word) {
  BT_AUTO_BUF b = {0};
  struct help help = {.out = &b, .width = bt_out_text_width()};
  for (const struct bt_verb *v = bt_verbs; v->name; v++)
    if (bt_verb_in_group(v, word)) {
      BT_AUTO_FREE char *left = bt_asprintf("berth %s %s", v->name, v->args);
      add_row(&help, left, v->summary);
    }
  bt_buf_addf(&b, "\n\"berth %s VERB --help\" tells more.\n", word);
  bt_out_write(STDOUT_FILENO, &b);
}

void bt_help_print(const struct bt_verb *verb) {
  BT_AUTO_BUF b = {0};
  bt_help_text(verb, bt_out_text_width(), &b);
  bt_out_write(STDOUT_FILENO, &b);
}

int bt_verb_help(struct bt_cli *cli, struct bt_err **err) {
  const struct bt_strs *rest = &cli->args.rest;
  int used;
  const struct bt_verb *verb = rest->len ? bt_verb_find(rest->items[0], rest->len > 1 ? rest->items[1] : NULL, &used) : NULL;
  if (rest->len == 1 && !verb && bt_verb_is_group(rest->items[0])) {
    bt_help_group(rest->items[0]);
    return 0;
  }
  if (rest->len && !verb)
    return bt_err_set(err, BT_INVALID, "there is no \"berth %s\". See \"berth --help\"", rest->items[0]);
  bt_help_print(verb);
  return 0;
}
