/* What monitor-prometheus makes of others' samples, instances and headers: whatever their names and values are, each line of the text is
 * a comment or one sample, and labels do not end early. */
#include "../../plugins/monitor-prometheus/discovery.h"
#include "../../plugins/monitor-prometheus/exposition.h"
#include "parts.h"

enum { max_labels = 8 };

static char *word(char **at) {
  char *start = *at, *tab = strchr(start, '\t');
  *at = tab ? tab + 1 : start + strlen(start);
  if (tab)
    *tab = '\0';
  return start;
}

/* A sample a line: name, help, value, then names and values of labels, with tabs between. */
static void add(struct mp_exposition *e, char *line) {
  struct berth_pair labels[max_labels];
  struct berth_metric_sample s = {.size = sizeof s, .kind = *line == 'c' ? BERTH_COUNTER : BERTH_GAUGE, .labels = labels};
  s.name = word(&line);
  s.help = word(&line);
  s.value = strtod(word(&line), NULL);
  while (*line && s.nlabels < max_labels) {
    labels[s.nlabels].name = word(&line);
    labels[s.nlabels++].value = word(&line);
  }
  for (char *p = (char *)(uintptr_t)s.help; *p; p++) /* a line break cannot stand in the input, so it is written so */
    if (*p == '\x01')
      *p = '\n';
  mp_exposition_add(e, &s);
}

static void check_text(const char *text) {
  for (const char *line = text; *line;) {
    size_t n = strcspn(line, "\n");
    const char *space = memchr(line, ' ', n);
    if (line[n] != '\n' || (n >= 2 && line[0] == '#' && line[1] != ' ') || (*line != '#' && !space))
      abort();
    size_t quotes = 0;
    for (size_t i = 0; *line != '#' && i < n; i++)
      if (line[i] == '\\')
        i++;
      else
        quotes += line[i] == '"';
    if (quotes % 2)
      abort();
    line += n + 1;
  }
}

static void exposition(char *text, size_t len) {
  struct mp_exposition *e = mp_exposition_new(len % 2, 50);
  PU_AUTO_BUF out = {0};
  for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
    add(e, line);
  mp_exposition_text(e, &out);
  if (out.data)
    check_text(out.data);
  mp_exposition_free(&e);
}

static void accepts(char *text, size_t len) {
  (void)len;
  mp_wants_openmetrics(text);
}

/* [instance, labels] */
static void target(char *text, size_t len) {
  PU_AUTO_JSON pair = pu_json_parse(text, len);
  PU_AUTO_JSON group = mp_target(json_array_get(pair, 0), json_array_get(pair, 1), "berth.prometheus");
  if (group && (json_array_size(pu_arr(group, "targets")) != 1 || !pu_obj(group, "labels")))
    abort();
}

static const struct fuzz_part parts[] = {{'e', "exposition", exposition}, {'a', "accept", accepts}, {'t', "target", target}};
FUZZ_PARTS(parts)
