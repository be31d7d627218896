/* What HAProxy says to lb-haproxy, and what the host tells it. By part: statistics, servers, processes, facts and answers
 * of the runtime socket, what "haproxy -c" says, a state with its text, changes of it, settings. */
#include "../../plugins/lb-haproxy/cli.h"
#include "../../plugins/lb-haproxy/stat.h"
#include "../../plugins/lb-haproxy/text.h"
#include "parts.h"

static struct lbh_settings *settings(void) {
  static struct lbh_settings s;
  static bool read;
  char *why = NULL;
  if (!read && !lbh_settings_read("{\"dir\":\"/d\",\"http\":[\"*:80\"],\"https\":[\"*:443\"]}", &s, &why))
    abort();
  read = true;
  return &s;
}

/* No text of the host may make lines of its own, or end a quote. */
static void text_of(const struct lbh_state *state) {
  struct lbh_table want;
  struct lbh_text text, again;
  lbh_table_want(state, &want);
  lbh_text_make(settings(), state, &want, "nobody", &text);
  lbh_text_make(settings(), state, &want, "nobody", &again);
  size_t lines = 0;
  for (const char *p = text.text; *p; p++)
    lines += *p == '\n';
  if (lines != text.nlines || strcmp(text.text, again.text) != 0 || strcmp(text.hash, again.hash) != 0)
    abort();
  struct lbh_commands commands = {0};
  struct lbh_table is = {0};
  for (size_t i = 0; i < want.len; i++)
    lbh_table_add(&is, want.items[i].name);
  lbh_commands_make(&is, &want, state, &commands);
  for (size_t i = 0; i < commands.len; i++) {
    if (strchr(commands.items[i].text, '\n'))
      abort();
    lbh_command_done(&is, &commands.items[i]);
  }
  lbh_commands_free(&commands);
  lbh_commands_make(&is, &want, state, &commands); /* all that was to be done is done */
  if (commands.len)
    abort();
  lbh_commands_free(&commands);
  lbh_table_free(&is);
  lbh_text_free(&text);
  lbh_text_free(&again);
  lbh_table_free(&want);
}

static void state(char *text, size_t len) {
  (void)len;
  struct lbh_state s;
  char *why = NULL;
  if (lbh_state_read(text, &s, &why))
    text_of(&s);
  lbh_state_free(&s);
  free(why);
}

static void changes(char *text, size_t len) {
  (void)len;
  struct lbh_state s;
  char *why = NULL;
  bool unknown;
  if (!lbh_state_read("{\"routes\":[{\"id\":\"r\",\"targets\":[{\"pool\":\"p\",\"weight\":1}]}],\"pools\":[{\"id\":\"p\",\"endpoints\":[{\"id\":\"e\",\"address\":\"10.0.0.1\","
                      "\"port\":1}]}]}",
                      &s, &why))
    abort();
  bool taken = lbh_state_change(&s, text, &unknown, &why);
  if (!taken && !why)
    abort();
  if (taken && s.npools)
    text_of(&s);
  lbh_state_free(&s);
  free(why);
}

static void stat_csv(char *text, size_t len) {
  (void)len;
  struct lbh_rows rows;
  if (!lbh_stat_parse(text, &rows) && rows.len)
    abort();
  lbh_rows_free(&rows);
}

static void servers(char *text, size_t len) {
  (void)len;
  struct lbh_table table = {0};
  lbh_servers_parse(text, &table);
  lbh_table_free(&table);
}

static void processes(char *text, size_t len) {
  (void)len;
  int master, worker, old[4];
  if (lbh_proc_parse(text, &master, &worker, old, 4) > 4)
    abort();
}

static void info(char *text, size_t len) {
  (void)len;
  free(lbh_info(text, "Pid"));
  free(lbh_info(text, "description"));
}

/* Every answer lies within the text, behind the one before it. */
static void answers(char *text, size_t len) {
  const char *at, *before = text;
  size_t n, i = 0;
  for (; i < 100 && lbh_cli_answer(text, i, &at, &n); i++) {
    if (at < before || at + n > text + len)
      abort();
    before = at + n;
  }
}

static void own_settings(char *text, size_t len) {
  (void)len;
  struct lbh_settings s;
  char *why = NULL;
  if (lbh_settings_read(text, &s, &why) == (why != NULL))
    abort();
  for (size_t i = 0; !why && i < s.http.len; i++)
    lbh_listen_port(s.http.items[i]);
  lbh_settings_free(&s);
  free(why);
}

/* What there is to blame is made once. */
static void blame(char *text, size_t len) {
  (void)len;
  static struct lbh_state s;
  static struct lbh_table want;
  static struct lbh_text t;
  char *why = NULL;
  int route;
  if (!t.text) {
    if (!lbh_state_read("{\"routes\":[{\"id\":\"r\"},{\"id\":\"s\",\"tls\":{\"certificate\":\"c\"}}],\"certificates\":[{\"name\":\"c\",\"pem\":\"p\"}]}", &s, &why))
      abort();
    lbh_table_want(&s, &want);
    lbh_text_make(settings(), &s, &want, NULL, &t);
  }
  char *sentence = lbh_text_blame(settings(), &s, &t, "/d/haproxy.cfg.check", text, &route);
  if (route >= (int)s.nroutes || strchr(sentence, '\n'))
    abort();
  free(sentence);
}

static const struct fuzz_part parts[] = {{'c', "stat", stat_csv},   {'v', "servers", servers}, {'p', "processes", processes},
                                         {'i', "info", info},       {'a', "answers", answers}, {'b', "blame", blame},
                                         {'d', "changes", changes}, {'s', "state", state},     {'o', "settings", own_settings}};
FUZZ_PARTS(parts)
