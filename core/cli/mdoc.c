/* The verbs' part of berth(1), in mdoc. */
#include "config.h"

#include "cli/args.h"
#include "cli/completion.h"

/* Text for a line of mdoc: a leading dot or quote would be a request, a backslash an escape, and words after a macro might be
 * taken for macros, so text stands on lines of its own. */
static void add_text(struct bt_buf *out, const char *text) {
  if (*text == '.' || *text == '\'')
    bt_buf_adds(out, "\\&");
  for (; *text; text++) {
    if (*text == '\\')
      bt_buf_adds(out, "\\e");
    else if (text[0] == '.' && text[1] == ' ')
      bt_buf_adds(out, ".\n"), text++;
    else if (*text == '"')
      bt_buf_adds(out, "\\(dq");
    else
      bt_buf_addc(out, *text);
  }
  bt_buf_addc(out, '\n');
}

/* An argument of a macro, quoted. */
static void add_arg(struct bt_buf *out, const char *text) { bt_buf_addf(out, " \"%s\"", text); }

static void add_option(struct bt_buf *out, const struct bt_option *o) {
  bt_buf_adds(out, ".It");
  if (o->letter)
    bt_buf_addf(out, " Fl %c ,", o->letter);
  bt_buf_addf(out, " Fl -%s", o->name);
  if (o->value) {
    bt_buf_adds(out, " Ar");
    add_arg(out, o->value);
  }
  bt_buf_addc(out, '\n');
  BT_AUTO_FREE char *doc = bt_asprintf("%s.", o->doc);
  doc[0] = doc[0] >= 'a' && doc[0] <= 'z' && strncmp(doc, "unix", 4) ? (char)(doc[0] - 32) : doc[0];
  add_text(out, doc);
}

static void add_options(struct bt_buf *out, const struct bt_option *options, const struct bt_option *more) {
  if (!(options && options->name) && !(more && more->name))
    return;
  bt_buf_adds(out, ".Bl -tag -width Ds -compact\n");
  for (const struct bt_option *o = options; o && o->name; o++)
    add_option(out, o);
  for (const struct bt_option *o = more; o && o->name; o++)
    add_option(out, o);
  bt_buf_adds(out, ".El\n");
}

static void add_verb(struct bt_buf *out, const struct bt_verb *v) {
  bt_buf_addf(out, ".It Cm \"%s\"", v->name);
  if (*v->args) {
    bt_buf_adds(out, " Ar");
    add_arg(out, v->args);
  }
  bt_buf_addc(out, '\n');
  BT_AUTO_FREE char *summary = bt_asprintf("%s.", v->summary);
  add_text(out, summary);
  if (v->more)
    add_text(out, v->more);
  add_options(out, v->options, v->lists ? bt_options_list : NULL);
}

void bt_completion_mdoc(struct bt_buf *out) {
  const char *group = "";
  bt_buf_adds(out, ".Ss Options of every verb\n");
  add_options(out, bt_options_all, NULL);
  for (const struct bt_verb *v = bt_verbs; v->name; v++) {
    if (!v->group)
      continue;
    if (strcmp(group, v->group) != 0)
      bt_buf_addf(out, "%s.Ss %s\n.Bl -tag -width Ds\n", *group ? ".El\n" : "", v->group);
    group = v->group;
    add_verb(out, v);
  }
  bt_buf_adds(out, ".El\n");
}
