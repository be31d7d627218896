/* What comes to chat-webhook: its settings with their templates, events that are put into them, Retry-After of the other side. */
#include "../../plugins/chat-webhook/settings.h"
#include "../../plugins/chat-webhook/text.h"
#include "parts.h"

static void settings(char *text, size_t len) {
  (void)len;
  struct cw_settings s;
  char *why = NULL;
  if (cw_settings_read(text, &s, &why) == (why != NULL))
    abort();
  struct berth_event event = {.size = sizeof event, .type = "app.applied", .severity = "info", .namespace_ = "default", .app = "shop",
                              .subject = "", .message = "m", .data_json = "{}"};
  if (!why) {
    cw_settings_want(&s, &event);
    if (s.template)
      free(cw_template_text(s.template, &event));
    cw_settings_free(&s);
  }
  free(why);
}

/* The first line is a template, the second the message, the rest the data. */
static void template_(char *text, size_t len) {
  char *message = strchr(text, '\n'), *why = NULL;
  if (message)
    *message++ = '\0';
  char *data = message ? strchr(message, '\n') : NULL;
  if (data)
    *data++ = '\0';
  struct cw_template *t = cw_template_new(text, &why);
  if ((t == NULL) != (why != NULL))
    abort();
  free(why);
  if (!t)
    return;
  struct berth_event event = {.size = sizeof event, .revision = len, .time_ms = (int64_t)len, .type = "app.applied", .severity = "info",
                              .namespace_ = "default", .app = "shop", .subject = "s", .message = message ? message : "",
                              .data_json = data ? data : "{}"};
  free(cw_template_text(t, &event));
  cw_template_free(&t);
}

/* Nothing in it is a link or a mention, and no cut makes it one. */
static void escape(char *text, size_t len) {
  PU_AUTO_BUF out = {0};
  cw_escape(&out, text);
  if (!out.data)
    return;
  size_t limit = len % 64 + 8;
  PU_AUTO_FREE cut = pu_strdup(out.data);
  cw_cut(cut, limit);
  const char *const texts[] = {out.data, cut};
  for (size_t i = 0; i < PU_COUNT(texts); i++)
    if (strpbrk(texts[i], "<>") || strstr(texts[i], "@channel") || strstr(texts[i], "@everyone"))
      abort();
  if (strlen(cut) > limit)
    abort();
}

static void retry(char *text, size_t len) {
  (void)len;
  int64_t s = cw_retry_after(text, 1700000000000);
  if (s < -1 || s > 3600)
    abort();
}

static const struct fuzz_part parts[] = {{'s', "settings", settings}, {'t', "template", template_}, {'e', "escape", escape}, {'r', "retry", retry}};
FUZZ_PARTS(parts)
