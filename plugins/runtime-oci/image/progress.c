#include "progress.h"

#include <unistd.h>

#include "../../common/util.h"
#include "files.h"

enum { every_ms = 200 };

/* One write a line: it comes whole, and who reads no more is no reason to stop. */
static void line(const json_t *o) {
  PU_AUTO_FREE text = pu_json_text(o);
  PU_AUTO_FREE whole = pu_asprintf("%s\n", text);
  (void)!ri_write_all(STDOUT_FILENO, whole, strlen(whole), -1);
}

void ri_progress(const char *layer, const char *text, int64_t current, int64_t total) {
  PU_AUTO_JSON o = json_pack("{s:s, s:s, s:I, s:I}", "text", text, "layer", layer, "current", (json_int_t)current, "total", (json_int_t)total);
  line(o);
}

bool ri_progress_due(int64_t *last_ms) {
  int64_t now = ri_now_ms();
  if (now - *last_ms < every_ms && now >= *last_ms)
    return false;
  *last_ms = now;
  return true;
}

int ri_result(json_t *result, const struct ri_why *why) {
  PU_AUTO_JSON o = json_object();
  if (result) {
    json_object_set_new(o, "result", result);
  } else {
    json_object_set_new(o, "error", pu_json_string(why->text ? why->text : "it failed without a word"));
    json_object_set_new(o, "code", json_string(ri_code_name(why->text ? why->code : BERTH_INTERNAL)));
  }
  line(o);
  return result ? 0 : 1;
}
