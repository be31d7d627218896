#include "config.h"
#include "cli/args.h"

#include "base/buf.h"
#include "base/nearest.h"

const struct bt_verb *bt_verb_find(const char *first, const char *second, int *used) {
  BT_AUTO_FREE char *both = second ? bt_asprintf("%s %s", first, second) : NULL;
  for (const struct bt_verb *v = bt_verbs; v->name; v++) {
    *used = bt_streq(v->name, both) ? 2 : 1;
    if (*used == 2 || bt_streq(v->name, first))
      return v;
  }
  return NULL;
}

bool bt_verb_in_group(const struct bt_verb *verb, const char *word) {
  size_t n = strlen(word);
  return strncmp(verb->name, word, n) == 0 && verb->name[n] == ' ';
}

bool bt_verb_is_group(const char *word) {
  for (const struct bt_verb *v = bt_verbs; v->name; v++)
    if (bt_verb_in_group(v, word))
      return true;
  return false;
}

void bt_verb_each_option(const struct bt_verb *verb, void (*fn)(void *arg, const struct bt_option *option), void *arg) {
  const struct bt_option *tables[] = {verb ? verb->options : NULL, verb && verb->lists ? bt_options_list : NULL,
                                      bt_options_all};
  for (size_t i = 0; i < BT_COUNT(tables); i++)
    for (const struct bt_option *o = tables[i]; o && o->name; o++)
      fn(arg, o);
}

/* ---------------------------------------------------------------- looking up */

struct look {
  const char *name; /* long name, or NULL */
  char letter;
  const struct bt_option *found;
  struct bt_nearest near;
};

static void look_at(void *arg, const struct bt_option *option) {
  struct look *look = arg;
  if (look->name)
    bt_nearest_try(&look->near, option->name);
  if (!look->found && (look->name ? bt_streq(option->name, look->name) : option->letter == look->letter))
    look->found = option;
}

static const char *verb_name(const struct bt_verb *verb) { return verb ? verb->name : ""; }

static const struct bt_option *find_long(const struct bt_verb *verb, const char *name, struct bt_err **err) {
  struct look look = {.name = name, .near = bt_nearest_start(name)};
  bt_verb_each_option(verb, look_at, &look);
  if (look.found)
    return look.found;
  BT_AUTO_FREE char *hint = look.near.best ? bt_asprintf("; did you mean --%s?", look.near.best) : bt_strdup("");
  bt_err_set(err, BT_INVALID, "unknown option --%s%s See \"berth%s%s --help\"", name, *hint ? hint : ".",
             verb ? " " : "", verb_name(verb));
  return NULL;
}

static const struct bt_option *find_letter(const struct bt_verb *verb, char letter, struct bt_err **err) {
  struct look look = {.letter = letter};
  bt_verb_each_option(verb, look_at, &look);
  if (!look.found)
    bt_err_set(err, BT_INVALID, "unknown option -%c. See \"berth%s%s --help\"", letter, verb ? " " : "", verb_name(verb));
  return look.found;
}

/* ---------------------------------------------------------------- values */

/* "a|b|c": is value one of them? */
static bool is_choice(const char *choices, const char *value) {
  size_t n = strlen(value);
  for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
    if (strncmp(at, value, n) == 0 && (at[n] == '|' || at[n] == '\0'))
      return true;
  return false;
}

static int add(struct bt_args *args, const struct bt_option *option, const char *value, struct bt_err **err) {
  if (option->kind != BT_OPT_FLAG && strchr(option->value, '|') && !is_choice(option->value, value))
    return bt_err_set(err, BT_INVALID, "--%s takes %s, not \"%s\"", option->name, option->value, value);
  struct bt_arg arg = {.option = option, .value = bt_strdup(value)};
  bt_vec_push(&args->given, arg);
  return 0;
}

/* What is left to read of the command line. */
struct words {
  char **next;
  char **end;
};

static int add_with_value(struct bt_args *args, const struct bt_option *option, const char *inline_value,
                          struct words *words, struct bt_err **err) {
  if (option->kind == BT_OPT_FLAG) {
    if (inline_value)
      return bt_err_set(err, BT_INVALID, "--%s takes no value", option->name);
    return add(args, option, NULL, err);
  }
  if (inline_value)
    return add(args, option, inline_value, err);
  if (words->next == words->end)
    return bt_err_set(err, BT_INVALID, "--%s needs a value: --%s %s", option->name, option->name, option->value);
  return add(args, option, *words->next++, err);
}

static int read_long(struct bt_args *args, const char *word, struct words *words, struct bt_err **err) {
  const char *eq = strchr(word, '=');
  BT_AUTO_FREE char *name = eq ? bt_strndup(word, (size_t)(eq - word)) : bt_strdup(word);
  const struct bt_option *option = find_long(args->verb, name, err);
  return option ? add_with_value(args, option, eq ? eq + 1 : NULL, words, err) : -1;
}

/* "-it", "-fFILE", "-f FILE". */
static int read_letters(struct bt_args *args, const char *letters, struct words *words, struct bt_err **err) {
  for (; *letters; letters++) {
    const struct bt_option *option = find_letter(args->verb, *letters, err);
    if (!option)
      return -1;
    if (option->kind != BT_OPT_FLAG)
      return add_with_value(args, option, letters[1] ? letters + 1 + (letters[1] == '=') : NULL, words, err);
    if (add(args, option, NULL, err))
      return -1;
  }
  return 0;
}

/* ---------------------------------------------------------------- verbs */

/* Verbs that people know from other tools, and what does their work here. */
static const struct {
  const char *word, *instead;
} elsewhere[] = {{"build", "\"berth up --build\" builds and deploys"},
                 {"cp", "\"berth exec\" runs a command such as tar in an instance"},
                 {"create", "\"berth up\" creates and starts"},
                 {"images", "\"berth history --format json\" has the image of each service"},
                 {"kill", "\"berth restart\" stops and starts, \"berth scale SERVICE=0\" stops"},
                 {"port", "\"berth ps\" shows the ports"},
                 {"pull", "\"berth up\" pulls what is missing, and as pull_policy says"},
                 {"rm", "\"berth down\" removes an app, \"berth scale SERVICE=0\" a service's instances"},
                 {"run", "\"berth exec\" runs a command in an instance; a task of its own is a service with deploy.mode replicated-job"},
                 {"start", "\"berth up\" starts an app, \"berth scale SERVICE=N\" a service"},
                 {"stats", "\"berth top\" shows what instances use"},
                 {"status", "\"berth ls\" lists apps, \"berth ps\" instances"},
                 {"stop", "\"berth scale SERVICE=0\" stops a service, \"berth down\" an app"},
                 {"watch", "\"berth events -f\" follows what happens, \"berth up --build\" deploys a change"}};

static const char *what_instead(const char *word) {
  for (size_t i = 0; i < BT_COUNT(elsewhere); i++)
    if (strcmp(elsewhere[i].word, word) == 0)
      return elsewhere[i].instead;
  return NULL;
}

static int unknown_verb(const char *word, const char *second, struct bt_err **err) {
  struct bt_nearest near = bt_nearest_start(word);
  BT_AUTO_BUF group = {0};
  for (const struct bt_verb *v = bt_verbs; v->name; v++) {
    if (v->group)
      bt_nearest_try(&near, v->name);
    if (bt_verb_in_group(v, word))
      bt_buf_addf(&group, "%s\"berth %s\"", group.len ? ", " : "", v->name);
  }
  if (group.len && second)
    return bt_err_set(err, BT_INVALID, "there is no \"berth %s %s\", but %s", word, second, group.data);
  if (group.len)
    return bt_err_set(err, BT_INVALID, "\"berth %s\" needs one word more: %s", word, group.data);
  const char *instead = what_instead(word);
  if (instead)
    return bt_err_set(err, BT_INVALID, "there is no \"berth %s\": %s", word, instead);
  char hint[96];
  return bt_err_set(err, BT_INVALID, "there is no \"berth %s\"%s See \"berth --help\"", word,
                    near.best ? bt_nearest_hint(near.best, hint) : ".");
}

static int read_verb(struct bt_args *args, const char *word, struct words *words, struct bt_err **err) {
  const char *second = words->next < words->end && **words->next != '-' ? *words->next : NULL;
  int used = 1;
  args->verb = bt_verb_find(word, second, &used);
  if (!args->verb && !second && words->next < words->end && bt_verb_is_group(word)) {
    args->group = word; /* fine with --help */
    return 0;
  }
  if (!args->verb)
    return unknown_verb(word, second, err);
  words->next += used - 1;
  return 0;
}

static int check_count(const struct bt_args *args, struct bt_err **err) {
  const struct bt_verb *v = args->verb;
  if (!v && args->group && !bt_args_has(args, "help"))
    return unknown_verb(args->group, NULL, err);
  if (!v || bt_args_has(args, "help"))
    return 0;
  int n = (int)args->rest.len;
  if (n < v->min)
    return bt_err_set(err, BT_INVALID, "an argument is missing: berth %s %s", v->name, v->args);
  if (v->max >= 0 && n > v->max)
    return bt_err_set(err, BT_INVALID, "\"%s\" is one argument too many: berth %s%s%s", args->rest.items[v->max], v->name,
                      *v->args ? " " : "", v->args);
  return 0;
}

static int read_word(struct bt_args *args, const char *word, struct words *words, bool *plain, struct bt_err **err) {
  if (!*plain && strcmp(word, "--") == 0) {
    *plain = true;
    return 0;
  }
  if (!*plain && bt_starts(word, "--"))
    return read_long(args, word + 2, words, err);
  if (!*plain && word[0] == '-' && word[1])
    return read_letters(args, word + 1, words, err);
  if (!args->verb)
    return read_verb(args, word, words, err);
  /* A command's own options are not ours: "exec web ls -l", or "exec web -- ls -l". */
  if (args->verb->raw && args->rest.len == 1 && strcmp(word, "--") == 0)
    return 0;
  bt_strs_add(&args->rest, word);
  *plain |= args->verb->raw;
  return 0;
}

int bt_args_parse(int argc, char **argv, struct bt_args *args, struct bt_err **err) {
  struct words words = {argv + BT_MIN(argc, 1), argv + argc};
  bool plain = false;
  while (words.next < words.end)
    if (read_word(args, *words.next++, &words, &plain, err))
      return -1;
  return check_count(args, err);
}

void bt_args_free(struct bt_args *args) {
  bt_vec_each(&args->given, arg)
    free(arg->value);
  bt_vec_free(&args->given);
  bt_strs_free(&args->rest);
}

/* ---------------------------------------------------------------- asking */

static const struct bt_arg *last(const struct bt_args *args, const char *name) {
  const struct bt_arg *found = NULL;
  bt_vec_each(&args->given, arg)
    if (bt_streq(arg->option->name, name))
      found = arg;
  return found;
}

bool bt_args_has(const struct bt_args *args, const char *name) { return last(args, name); }

const char *bt_args_text(const struct bt_args *args, const char *name) {
  const struct bt_arg *arg = last(args, name);
  return arg ? arg->value : NULL;
}

int bt_args_int(const struct bt_args *args, const char *name, long long min, long long max, long long *out,
                struct bt_err **err) {
  const char *text = bt_args_text(args, name);
  if (text && !bt_parse_i64(text, min, max, out))
    return bt_err_set(err, BT_INVALID, "--%s takes a whole number from %lld to %lld, not \"%s\"", name, min, max, text);
  return 0;
}

void bt_args_list(const struct bt_args *args, const char *name, struct bt_strs *out) {
  bt_vec_each(&args->given, arg)
    if (bt_streq(arg->option->name, name))
      bt_strs_add(out, arg->value);
}
