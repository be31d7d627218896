/* What HAProxy says to lb-haproxy, and what the host tells it. The first byte chooses: statistics, servers, processes, facts, answers of the
 * runtime socket, a state with its text, changes. */
#include <stdint.h>
#include <stdlib.h>

#include "../../plugins/lb-haproxy/stat.h"
#include "../../plugins/lb-haproxy/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void state(const char *text) {
  struct lbh_state s;
  char *why = NULL;
  if (lbh_state_read(text, &s, &why))
    text_of(&s);
  lbh_state_free(&s);
  free(why);
}

static void changes(const char *text) {
  struct lbh_state s;
  char *why = NULL;
  bool unknown;
  if (!lbh_state_read("{\"routes\":[{\"id\":\"r\",\"targets\":[{\"pool\":\"p\",\"weight\":1}]}],\"pools\":[{\"id\":\"p\",\"endpoints\":[{\"id\":\"e\",\"address\":\"10.0.0.1\","
                      "\"port\":1}]}]}",
                      &s, &why))
    abort();
  if (!lbh_state_change(&s, text, &unknown, &why) && !why)
    abort();
  text_of(&s);
  lbh_state_free(&s);
  free(why);
}

static void said(const char *text, int which) {
  struct lbh_rows rows;
  struct lbh_table table = {0};
  int master, worker, old[4];
  if (which == 0) {
    if (!lbh_stat_parse(text, &rows) && rows.len)
      abort();
    lbh_rows_free(&rows);
  } else if (which == 1) {
    lbh_servers_parse(text, &table);
    lbh_table_free(&table);
  } else if (which == 2) {
    if (lbh_proc_parse(text, &master, &worker, old, 4) > 4)
      abort();
  } else {
    free(lbh_info(text, "Pid"));
  }
}

static void blame(const char *text) {
  struct lbh_state s;
  struct lbh_table want;
  struct lbh_text t;
  char *why = NULL;
  int route;
  if (!lbh_state_read("{\"routes\":[{\"id\":\"r\"},{\"id\":\"s\",\"tls\":{\"certificate\":\"c\"}}],\"certificates\":[{\"name\":\"c\",\"pem\":\"p\"}]}", &s, &why))
    abort();
  lbh_table_want(&s, &want);
  lbh_text_make(settings(), &s, &want, NULL, &t);
  char *sentence = lbh_text_blame(settings(), &s, &t, "/d/haproxy.cfg.check", text, &route);
  if (route >= (int)s.nroutes || strchr(sentence, '\n'))
    abort();
  free(sentence);
  lbh_text_free(&t);
  lbh_table_free(&want);
  lbh_state_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 65536)
    return 0;
  PU_AUTO_FREE text = pu_strndup((const char *)data + 1, size - 1);
  int which = data[0] % 8;
  if (which < 4)
    said(text, which);
  else if (which == 4)
    blame(text);
  else if (which == 5)
    changes(text);
  else
    state(text);
  return 0;
}
