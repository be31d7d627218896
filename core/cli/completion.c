#include "config.h"
#include "cli/completion.h"

#include <unistd.h>

#include "cli/cli.h"

/* What the shell runs to offer values. */
static const char *source(enum bt_complete kind) {
  switch (kind) {
  case BT_COMPLETE_APP:
    return "berth ls -q";
  case BT_COMPLETE_OBJECT:
    return "berth ls -q; berth config --services; berth ps -q --all";
  case BT_COMPLETE_SECRET:
    return "berth secret ls -q";
  case BT_COMPLETE_VOLUME:
    return "berth volume ls -q";
  case BT_COMPLETE_NETWORK:
    return "berth network ls -q";
  case BT_COMPLETE_NODE:
    return "berth node ls -q";
  case BT_COMPLETE_NONE:
  case BT_COMPLETE_FILE:
  case BT_COMPLETE_FOLDER:
    break;
  }
  return NULL;
}

/* First words of verbs, each once: calls fn(word, verb) where verb is NULL for the first word of several verbs. */
static void each_word(void (*fn)(struct bt_buf *out, const char *word, const struct bt_verb *verb), struct bt_buf *out) {
  BT_AUTO_FREE char *last = bt_strdup("");
  for (const struct bt_verb *v = bt_verbs; v->name; v++) {
    BT_AUTO_FREE char *word = bt_strndup(v->name, strcspn(v->name, " "));
    if (v->group && strcmp(word, last) != 0)
      fn(out, word, strchr(v->name, ' ') ? NULL : v);
    bt_str_set(&last, word);
  }
}

/* ---------------------------------------------------------------- bash */

static void bash_word(struct bt_buf *out, const char *word, const struct bt_verb *verb) {
  (void)verb;
  bt_buf_addf(out, " %s", word);
}

static void bash_option(void *arg, const struct bt_option *option) {
  bt_buf_addf(arg, " --%s", option->name);
  if (option->letter)
    bt_buf_addf(arg, " -%c", option->letter);
}

static void bash_values(struct bt_buf *out, enum bt_complete kind) {
  if (kind == BT_COMPLETE_FILE || kind == BT_COMPLETE_FOLDER)
    bt_buf_addf(out, "compopt -o filenames; COMPREPLY=($(compgen -%c -- \"$cur\"))", kind == BT_COMPLETE_FILE ? 'f' : 'd');
  else if (source(kind))
    bt_buf_addf(out, "COMPREPLY=($(compgen -W \"$({ %s; } 2>/dev/null)\" -- \"$cur\"))", source(kind));
  else
    bt_buf_addc(out, ':');
}

/* A line of "case $verb:$prev": what follows an option that takes a value. */
static void bash_option_value(void *arg, const struct bt_option *option) {
  struct bt_buf *out = arg;
  if (option->kind == BT_OPT_FLAG)
    return;
  bt_buf_addf(out, "        --%s", option->name);
  if (option->letter)
    bt_buf_addf(out, "|-%c", option->letter);
  bt_buf_adds(out, ") ");
  if (strchr(option->value, '|')) {
    bt_buf_adds(out, "COMPREPLY=($(compgen -W \"");
    for (const char *p = option->value; *p; p++)
      bt_buf_addc(out, *p == '|' ? ' ' : *p);
    bt_buf_adds(out, "\" -- \"$cur\"))");
  } else {
    bash_values(out, option->complete);
  }
  bt_buf_adds(out, "; return ;;\n");
}

static void bash_verb(struct bt_buf *out, const struct bt_verb *v) {
  bt_buf_addf(out, "    \"%s\")\n      case $prev in\n", v->name);
  bt_verb_each_option(v, bash_option_value, out);
  bt_buf_adds(out, "      esac\n      if [[ $cur == -* ]]; then\n        COMPREPLY=($(compgen -W \"");
  bt_verb_each_option(v, bash_option, out);
  bt_buf_adds(out, "\" -- \"$cur\"))\n      else\n        ");
  if (strcmp(v->name, "completion") == 0)
    bt_buf_adds(out, "COMPREPLY=($(compgen -W \"bash zsh fish\" -- \"$cur\"))");
  else
    bash_values(out, v->complete);
  bt_buf_adds(out, "\n      fi ;;\n");
}

/* Second words: "secret" -> "ls put rm". */
static void bash_seconds(struct bt_buf *out) {
  for (const struct bt_verb *v = bt_verbs; v->name; v++) {
    const char *space = strchr(v->name, ' ');
    size_t n = space ? (size_t)(space - v->name) : 0;
    if (!space || (v > bt_verbs && strncmp(v[-1].name, v->name, n + 1) == 0))
      continue;
    bt_buf_addf(out, "    %.*s) COMPREPLY=($(compgen -W \"", (int)n, v->name);
    for (const struct bt_verb *w = v; w->name && strncmp(w->name, v->name, n + 1) == 0; w++)
      bt_buf_addf(out, " %s", w->name + n + 1);
    bt_buf_adds(out, "\" -- \"$cur\")) ;;\n");
  }
}

void bt_completion_bash(struct bt_buf *out) {
  bt_buf_adds(out, "# Completions of berth(1) for bash; made by \"berth completion bash\".\n"
                   "_berth() {\n"
                   "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb= word i\n"
                   "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
                   "    word=${COMP_WORDS[i]}\n"
                   "    case $word in\n"
                   "      -H|--host|-n|--namespace) ((i++)) ;;\n"
                   "      -*) [[ -z $verb ]] || break ;;\n"
                   "      *)\n"
                   "        if [[ -z $verb ]]; then\n"
                   "          verb=$word\n"
                   "        else\n"
                   "          case $verb in secret|volume|network|image|node|plugin|policy) verb+=\" $word\" ;; esac\n"
                   "          break\n"
                   "        fi ;;\n"
                   "    esac\n"
                   "  done\n"
                   "  COMPREPLY=()\n"
                   "  case $verb in\n"
                   "    \"\") COMPREPLY=($(compgen -W \"");
  each_word(bash_word, out);
  bt_verb_each_option(NULL, bash_option, out);
  bt_buf_adds(out, "\" -- \"$cur\")) ;;\n");
  bash_seconds(out);
  for (const struct bt_verb *v = bt_verbs; v->name; v++)
    bash_verb(out, v);
  bt_buf_adds(out, "  esac\n}\ncomplete -F _berth berth\n");
}

/* ---------------------------------------------------------------- zsh */

/* For zsh's 'name[doc]' inside single quotes. */
static void zsh_doc(struct bt_buf *out, const char *doc) {
  for (; *doc; doc++) {
    if (*doc == '\'')
      bt_buf_adds(out, "'\\''");
    else if (strchr("[]:\\", *doc))
      bt_buf_addf(out, "\\%c", *doc);
    else
      bt_buf_addc(out, *doc);
  }
}

static void zsh_values(struct bt_buf *out, enum bt_complete kind) {
  static const char *const names[] = {
      [BT_COMPLETE_NONE] = " ",          [BT_COMPLETE_FILE] = "_files",      [BT_COMPLETE_FOLDER] = "_files -/",
      [BT_COMPLETE_APP] = "_berth_apps", [BT_COMPLETE_OBJECT] = "_berth_objects", [BT_COMPLETE_SECRET] = "_berth_secrets",
      [BT_COMPLETE_VOLUME] = "_berth_volumes", [BT_COMPLETE_NETWORK] = "_berth_networks", [BT_COMPLETE_NODE] = "_berth_nodes"};
  bt_buf_adds(out, names[kind]);
}

static void zsh_spec(struct bt_buf *out, const char *dashes, const struct bt_option *option) {
  bt_buf_addf(out, " \\\n        '%s%s[", option->kind == BT_OPT_LIST ? "*" : "", dashes);
  zsh_doc(out, option->doc);
  bt_buf_addc(out, ']');
  if (option->kind != BT_OPT_FLAG) {
    bt_buf_adds(out, ":value:");
    if (strchr(option->value, '|')) {
      bt_buf_addc(out, '(');
      for (const char *p = option->value; *p; p++)
        bt_buf_addc(out, *p == '|' ? ' ' : *p);
      bt_buf_addc(out, ')');
    } else {
      zsh_values(out, option->complete);
    }
  }
  bt_buf_addc(out, '\'');
}

static void zsh_option(void *arg, const struct bt_option *option) {
  BT_AUTO_FREE char *name = bt_asprintf("--%s%s", option->name, option->kind == BT_OPT_FLAG ? "" : "=");
  zsh_spec(arg, name, option);
  if (option->letter) {
    char letter[4] = {'-', option->letter, option->kind == BT_OPT_FLAG ? '\0' : '+'};
    zsh_spec(arg, letter, option);
  }
}

static void zsh_word(struct bt_buf *out, const char *word, const struct bt_verb *verb) {
  bt_buf_addf(out, "\n    '%s:", word);
  if (verb)
    zsh_doc(out, verb->summary);
  else
    bt_buf_addf(out, "%ss", word);
  bt_buf_addc(out, '\'');
}

static void zsh_function(struct bt_buf *out, const char *name, enum bt_complete kind) {
  bt_buf_addf(out, "_berth_%s() { compadd -- ${(f)\"$({ %s; } 2>/dev/null)\"} }\n", name, source(kind));
}

static void zsh_seconds(struct bt_buf *out) {
  for (const struct bt_verb *v = bt_verbs; v->name; v++) {
    const char *space = strchr(v->name, ' ');
    size_t n = space ? (size_t)(space - v->name) : 0;
    if (!space || (v > bt_verbs && strncmp(v[-1].name, v->name, n + 1) == 0))
      continue;
    bt_buf_addf(out, "    %.*s)\n      _values verb", (int)n, v->name);
    for (const struct bt_verb *w = v; w->name && strncmp(w->name, v->name, n + 1) == 0; w++) {
      bt_buf_addf(out, " '%s[", w->name + n + 1);
      zsh_doc(out, w->summary);
      bt_buf_adds(out, "]'");
    }
    bt_buf_adds(out, " ;;\n");
  }
}

void bt_completion_zsh(struct bt_buf *out) {
  bt_buf_adds(out, "#compdef berth\n# Completions of berth(1) for zsh; made by \"berth completion zsh\".\n");
  zsh_function(out, "apps", BT_COMPLETE_APP);
  zsh_function(out, "objects", BT_COMPLETE_OBJECT);
  zsh_function(out, "secrets", BT_COMPLETE_SECRET);
  zsh_function(out, "volumes", BT_COMPLETE_VOLUME);
  zsh_function(out, "networks", BT_COMPLETE_NETWORK);
  zsh_function(out, "nodes", BT_COMPLETE_NODE);
  bt_buf_adds(out, "_berth() {\n  local verb=$words[2] first=3\n  local -a verbs=(");
  each_word(zsh_word, out);
  bt_buf_adds(out, "\n  )\n"
                   "  if ((CURRENT == 2)); then\n    _describe verb verbs\n    return\n  fi\n"
                   "  case $verb in secret|volume|network|image|node|plugin|policy)\n"
                   "    if ((CURRENT > 3)); then\n      verb+=\" $words[3]\"\n      first=4\n    fi ;;\n  esac\n"
                   "  words=(\"berth\" \"${(@)words[first,-1]}\")\n  ((CURRENT -= first - 2))\n"
                   "  case $verb in\n");
  zsh_seconds(out);
  for (const struct bt_verb *v = bt_verbs; v->name; v++) {
    bt_buf_addf(out, "    '%s')\n      _arguments -S", v->name);
    bt_verb_each_option(v, zsh_option, out);
    if (v->max != 0) {
      bt_buf_adds(out, " \\\n        '*:argument:");
      if (strcmp(v->name, "completion") == 0)
        bt_buf_adds(out, "(bash zsh fish)");
      else
        zsh_values(out, v->complete);
      bt_buf_addc(out, '\'');
    }
    bt_buf_adds(out, " ;;\n");
  }
  bt_buf_adds(out, "  esac\n}\n_berth \"$@\"\n");
}

/* ---------------------------------------------------------------- fish */

static void fish_quoted(struct bt_buf *out, const char *text) {
  bt_buf_addc(out, '\'');
  for (; *text; text++) {
    if (*text == '\'' || *text == '\\')
      bt_buf_addc(out, '\\');
    bt_buf_addc(out, *text);
  }
  bt_buf_addc(out, '\'');
}

static void fish_values(struct bt_buf *out, enum bt_complete kind) {
  if (kind == BT_COMPLETE_FILE)
    bt_buf_adds(out, " -rF");
  else if (kind == BT_COMPLETE_FOLDER)
    bt_buf_adds(out, " -xa '(__fish_complete_directories)'");
  else if (source(kind))
    bt_buf_addf(out, " -xa '(begin; %s; end 2>/dev/null)'", source(kind));
}

struct fish {
  struct bt_buf *out;
  const char *when; /* condition, with its option; "" for all */
};

static void fish_option(void *arg, const struct bt_option *option) {
  struct fish *fish = arg;
  bt_buf_addf(fish->out, "complete -c berth%s -l %s", fish->when, option->name);
  if (option->letter)
    bt_buf_addf(fish->out, " -s %c", option->letter);
  bt_buf_adds(fish->out, " -d ");
  fish_quoted(fish->out, option->doc);
  if (option->kind != BT_OPT_FLAG && strchr(option->value, '|')) {
    bt_buf_adds(fish->out, " -xa '");
    for (const char *p = option->value; *p; p++)
      bt_buf_addc(fish->out, *p == '|' ? ' ' : *p);
    bt_buf_addc(fish->out, '\'');
  } else if (option->kind != BT_OPT_FLAG) {
    if (option->complete == BT_COMPLETE_NONE)
      bt_buf_adds(fish->out, " -x");
    fish_values(fish->out, option->complete);
  }
  bt_buf_addc(fish->out, '\n');
}

static void fish_word(struct bt_buf *out, const char *word, const struct bt_verb *verb) {
  bt_buf_addf(out, "complete -c berth -n __fish_use_subcommand -a %s -d ", word);
  BT_AUTO_FREE char *group = bt_asprintf("%ss", word);
  fish_quoted(out, verb ? verb->summary : group);
  bt_buf_addc(out, '\n');
}

static void fish_verb(struct bt_buf *out, const struct bt_verb *v) {
  const char *space = strchr(v->name, ' ');
  int n = (int)strcspn(v->name, " ");
  BT_AUTO_FREE char *when =
      space ? bt_asprintf(" -n '__fish_seen_subcommand_from %.*s; and __fish_seen_subcommand_from %s'", n, v->name, space + 1)
            : bt_asprintf(" -n '__fish_seen_subcommand_from %s'", v->name);
  if (space) {
    bt_buf_addf(out, "complete -c berth -n '__fish_seen_subcommand_from %.*s; and test (count (commandline -opc)) -eq 2' -a %s -d ",
                n, v->name, space + 1);
    fish_quoted(out, v->summary);
    bt_buf_addc(out, '\n');
  }
  for (const struct bt_option *o = v->options; o && o->name; o++)
    fish_option(&(struct fish){out, when}, o);
  for (const struct bt_option *o = v->lists ? bt_options_list : NULL; o && o->name; o++)
    fish_option(&(struct fish){out, when}, o);
  if (v->max == 0)
    return;
  BT_AUTO_BUF values = {0};
  if (strcmp(v->name, "completion") == 0)
    bt_buf_adds(&values, " -xa 'bash zsh fish'");
  else
    fish_values(&values, v->complete);
  if (values.len)
    bt_buf_addf(out, "complete -c berth%s%s\n", when, values.data);
}

void bt_completion_fish(struct bt_buf *out) {
  bt_buf_adds(out, "# Completions of berth(1) for fish; made by \"berth completion fish\".\ncomplete -c berth -f\n");
  each_word(fish_word, out);
  for (const struct bt_option *o = bt_options_all; o->name; o++)
    fish_option(&(struct fish){out, ""}, o);
  for (const struct bt_verb *v = bt_verbs; v->name; v++)
    fish_verb(out, v);
}

/* ---------------------------------------------------------------- the verb */

int bt_verb_completion(struct bt_cli *cli, struct bt_err **err) {
  static const struct {
    const char *name;
    void (*make)(struct bt_buf *out);
  } kinds[] = {{"bash", bt_completion_bash}, {"zsh", bt_completion_zsh}, {"fish", bt_completion_fish}, {"mdoc", bt_completion_mdoc}};
  BT_AUTO_BUF out = {0};
  for (size_t i = 0; i < BT_COUNT(kinds); i++)
    if (strcmp(kinds[i].name, cli->args.rest.items[0]) == 0) {
      kinds[i].make(&out);
      bt_out_write(STDOUT_FILENO, &out);
      return 0;
    }
  return bt_err_set(err, BT_INVALID, "there are completions for bash, zsh and fish, not for \"%s\"", cli->args.rest.items[0]);
}
